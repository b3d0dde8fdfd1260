//! Tokens and sessions, restricted to what each caller may see and change.
//!
//! An admin whose token is limited to runtimes manages only what is limited to those: otherwise it
//! could make itself a token without the limit.

use skep_protocol::{
    CreateToken, CreatedToken, Error, Need, Role, RuntimeId, SessionId, SessionView, TokenId,
    TokenView,
};

use crate::{Caller, Registry};

impl Registry {
    /// Lists the tokens, also those that have ended, oldest first, for admins.
    ///
    /// # Errors
    /// [`Error::Forbidden`]; any error of `registry.db`.
    pub fn tokens(&self, caller: &Caller) -> Result<Vec<TokenView>, Error> {
        self.allows(caller, Role::Admin)?;
        let mut tokens = self.access().tokens()?;
        tokens.retain(|token| caller.sees_all_of(token.runtimes.as_deref()));
        Ok(tokens)
    }

    /// Creates a token, for admins.
    ///
    /// # Errors
    /// [`Error::Forbidden`], also for a token that is not limited to the caller's runtimes;
    /// [`skep_protocol::Invalid::Body`] if it would already have expired; any error of
    /// `registry.db`.
    pub fn create_token(&self, caller: &Caller, new: CreateToken) -> Result<CreatedToken, Error> {
        self.allows(caller, Role::Admin)?;
        if !caller.sees_all_of(new.runtimes.as_deref()) {
            let own = caller.runtimes.iter().flatten().cloned().collect();
            return Err(Error::Forbidden(Need::Runtimes(own)));
        }
        let (secret, view) = self.access().create_token_by(caller, new)?;
        Ok(CreatedToken { token: secret.expose().to_owned(), view })
    }

    /// Revokes a token with its sessions, for admins. Revoking twice changes nothing.
    ///
    /// # Errors
    /// [`Error::Forbidden`]; [`Error::UnknownToken`]; any error of `registry.db`.
    pub fn revoke_token(&self, caller: &Caller, id: &TokenId) -> Result<(), Error> {
        self.allows(caller, Role::Admin)?;
        self.access().catch_up_blocking()?;
        let token = self.access().find_token(id)?;
        if !caller.sees_all_of(token.runtimes.as_deref()) {
            return Err(Error::UnknownToken(id.clone()));
        }
        self.access().revoke_by(caller, id).map(drop)
    }

    /// Lists valid sessions, newest first: all for admins, and for others those of their own token.
    ///
    /// # Errors
    /// Any error of `registry.db`.
    pub fn sessions(&self, caller: &Caller) -> Result<Vec<SessionView>, Error> {
        let all = self.access().sessions()?.into_iter();
        let seen = all.filter(|(view, of)| self.may_end(caller, view, of));
        Ok(seen
            .map(|(view, _)| SessionView {
                current: caller.session_id.as_ref() == Some(&view.session_id),
                ..view
            })
            .collect())
    }

    /// Ends a session that [`Registry::sessions`] lists.
    ///
    /// # Errors
    /// [`Error::UnknownSession`]; any error of `registry.db`.
    pub fn end_session(&self, caller: &Caller, id: &SessionId) -> Result<(), Error> {
        let mut all = self.access().sessions()?.into_iter();
        let found = all.find(|(view, _)| view.session_id == *id);
        match found {
            Some((view, of)) if self.may_end(caller, &view, &of) => {
                self.access().end_session(caller, id)
            }
            _ => Err(Error::UnknownSession(id.clone())),
        }
    }

    fn may_end(&self, caller: &Caller, view: &SessionView, of: &Caller) -> bool {
        let runtimes: Option<Vec<RuntimeId>> =
            of.runtimes.as_ref().map(|runtimes| runtimes.iter().cloned().collect());
        let is_own = caller.session_id.as_ref() == Some(&view.session_id)
            || caller.token_id.is_some() && caller.token_id == view.token_id;
        let is_admin = self.allows(caller, Role::Admin).is_ok();
        is_own || is_admin && caller.sees_all_of(runtimes.as_deref())
    }
}
