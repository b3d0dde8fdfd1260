//! The name resolution of a bed: cases set the answers, and no query leaves the machine.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::sync::Mutex;

use skep_sandbox::{Resolver, SystemResolver};

/// A resolver with the answers that a case sets.
#[derive(Debug, Default)]
pub struct Names(Mutex<BTreeMap<String, Name>>);

#[derive(Debug)]
struct Name {
    answers: VecDeque<Vec<IpAddr>>,
    asked: usize,
}

impl Names {
    /// Sets the answers for a name, one per query; the last one stays.
    pub fn lead(&self, name: &str, answers: &[&[&str]]) {
        let parsed = |answer: &&[&str]| answer.iter().map(|text| text.parse().unwrap()).collect();
        let answers = answers.iter().map(parsed).collect();
        self.0.lock().unwrap().insert(name.to_owned(), Name { answers, asked: 0 });
    }

    /// Counts the queries for a name.
    pub fn asked(&self, name: &str) -> usize {
        self.0.lock().unwrap().get(name).map_or(0, |name| name.asked)
    }
}

impl Resolver for Names {
    fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        if name == "localhost" {
            return SystemResolver.addresses(name);
        }
        let mut names = self.0.lock().unwrap();
        let known = names.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        known.asked += 1;
        match known.answers.len() {
            1 => Ok(known.answers[0].clone()),
            _ => known.answers.pop_front().ok_or(io::ErrorKind::NotFound.into()),
        }
    }
}
