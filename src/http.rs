//! One HTTP exchange: the client's only IO, and the meaning of its responses.

pub(crate) mod decode;
pub(crate) mod failure;
mod keeping;
pub(crate) mod outcome;
mod proxy;
pub(crate) mod reply;
pub(crate) mod tls;
pub(crate) mod transport;
