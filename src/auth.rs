//! Authentication: keys and signatures, bearer tokens, and what a 401 can change.

pub(crate) mod access_key;
pub(crate) mod attempt;
pub(crate) mod bearer;
pub(crate) mod cache;
