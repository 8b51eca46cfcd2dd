//! Authentication: credentials, and the recovery from a 401.

pub(crate) mod attempt;
pub(crate) mod cache;
pub(crate) mod credential;
