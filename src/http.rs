//! One HTTP exchange: the client's only IO, and what it yields.

pub(crate) mod failure;
pub(crate) mod members;
mod proxy;
pub(crate) mod response;
pub(crate) mod tls;
pub(crate) mod transport;
