//! The guide: pages to read.
//!
//! - [`recipes`]: common tasks, ready to copy; performance; coming from an official SDK
//! - [`errors`]: what happened, whether anything was done, and what is retried
//! - [`troubleshooting`]: from the words of an error to its cause
//! - [`testing`]: your own tests, offline
//! - [`entra`]: Entra ID instead of an access key
//!
//! The module exists only in the documentation.

#[doc = include_str!("recipes.md")]
pub mod recipes {}

#[doc = include_str!("errors.md")]
pub mod errors {}

#[doc = include_str!("troubleshooting.md")]
pub mod troubleshooting {}

#[doc = include_str!("testing.md")]
pub mod testing {}

#[doc = include_str!("entra.md")]
pub mod entra {}
