//! Authentication: keys and signatures, bearer tokens, and the recovery from a 401.

pub(crate) mod access_key;
pub(crate) mod attempt;
pub(crate) mod bearer;
pub(crate) mod cache;
