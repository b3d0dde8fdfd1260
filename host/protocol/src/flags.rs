//! Grants as command-line flags, for `skep worker grant` and for hints that suggest a command.

use std::fmt;

use crate::{Grants, RuntimeId, ScopeGrant, WorkerId};

impl Grants {
    /// Returns each grant as a pair: its kind, which is also its flag, and its value.
    pub fn words(&self) -> Vec<(&'static str, String)> {
        let scopes = self.scopes.iter().map(|grant| ("scope", grant.to_string()));
        let http = self.http.iter().map(|grant| ("http", grant.to_string()));
        let secrets = self.secrets.iter().map(|name| ("secret", name.to_string()));
        scopes.chain(http).chain(secrets).collect()
    }

    /// Returns the flags that grant them, quoted for a shell.
    pub fn flags(&self) -> String {
        let flag = |(kind, what): (&str, String)| format!("--{kind} {}", quoted(&what));
        self.words().into_iter().map(flag).collect::<Vec<_>>().join(" ")
    }

    /// Returns the `skep worker grant` command that grants them to a worker.
    pub fn command(&self, runtime: &RuntimeId, worker: WorkerId) -> String {
        format!("skep worker grant {runtime}/{worker} {}", self.flags())
    }
}

impl fmt::Display for ScopeGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}:{}", self.name, self.guest, self.rights)
    }
}

/// Quotes a word for a shell.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+=-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_round_trip_through_their_flags() {
        let scope = |name: &str, guest: &str, rights: &str| ScopeGrant {
            name: name.parse().unwrap(),
            guest: guest.parse().unwrap(),
            rights: rights.parse().unwrap(),
        };
        let grants = Grants {
            scopes: vec![scope("src", "/src", "ro"), scope("cache", "/my cache", "rw")],
            http: vec!["https://a.b".parse().unwrap(), "GET https://*.a.b inner".parse().unwrap()],
            secrets: vec!["key".parse().unwrap()],
        };
        let flags = "--scope src::/src:ro --scope 'cache::/my cache:rw' --http https://a.b \
                     --http 'GET https://*.a.b inner' --secret key";
        assert_eq!(grants.flags(), flags);
        let worker = WorkerId::new(1, [0; 10]);
        let command = grants.command(&"hive".parse().unwrap(), worker);
        assert_eq!(command, format!("skep worker grant hive/{worker} {flags}"));
    }

    #[test]
    fn a_quoted_word_is_one_shell_word() {
        for (word, shown) in [
            ("tally", "tally"),
            ("", "''"),
            ("it's $HOME; rm *", r"'it'\''s $HOME; rm *'"),
            ("*", "'*'"),
            ("http://[::1]:81", "'http://[::1]:81'"),
        ] {
            assert_eq!(quoted(word), shown);
        }
    }
}
