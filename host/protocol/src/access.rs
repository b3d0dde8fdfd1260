//! Tokens and sessions, as those who manage access see them. Only [`CreatedToken`] has a secret.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Role, RuntimeId, SessionId, Timestamp, TokenId, TokenName};

/// The public view of a token. The token itself is shown once, when it is created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenView {
    /// Public id of the token.
    pub token_id: TokenId,
    /// Name by which people recognise it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<TokenName>,
    /// Role of the token.
    pub role: Role,
    /// Runtimes that the token is limited to; all if absent.
    pub runtimes: Option<Vec<RuntimeId>>,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time of expiry, if it expires.
    pub expires_at: Option<Timestamp>,
    /// Time of revocation, if it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// The properties of a token to create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Role of the token.
    pub role: Role,
    /// Name by which people recognise it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<TokenName>,
    /// Runtimes that the token is limited to; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtimes: Option<Vec<RuntimeId>>,
    /// Time of expiry, if it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A new token. This is the only answer that contains a secret, and it is given once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreatedToken {
    /// Text of the token. Only its digest is stored.
    pub token: String,
    /// Its public view.
    #[serde(flatten)]
    pub view: TokenView,
}

impl fmt::Debug for CreatedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedToken").field("view", &self.view).finish_non_exhaustive()
    }
}

/// A browser's session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionView {
    /// Public id of the session.
    pub session_id: SessionId,
    /// Token that it was started with; none for a login link.
    pub token_id: Option<TokenId>,
    /// Role of the session.
    pub role: Role,
    /// Time of the login.
    pub created_at: Timestamp,
    /// Time of expiry.
    pub expires_at: Timestamp,
    /// True if the request that lists it was made in it.
    pub current: bool,
}
