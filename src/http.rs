//! One HTTP exchange: the only IO of the client, and what its responses mean.

pub(crate) mod decode;
mod keeping;
pub(crate) mod outcome;
mod proxy;
pub(crate) mod reply;
pub(crate) mod tls;
pub(crate) mod transport;
