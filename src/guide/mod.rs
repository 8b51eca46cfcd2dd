//! The guide: pages to read.
//!
//! - [`recipes`]: common tasks, ready to copy
//! - [`errors`]: what happened, and what to do about it
//! - [`troubleshooting`]: from a symptom to its cause
//! - [`retries`]: what is retried, and when a call ends
//! - [`secrets`]: where keys and tokens are, and where they never are
//! - [`entra`]: Entra ID instead of an access key
//! - [`testing`]: your own tests, offline
//! - [`performance`]: what the crate costs, measured
//! - [`official_sdks`]: what is different from the official SDKs, and why
//! - [`from_python`]: each call next to its Python form
//!
//! The module exists only in the documentation.

#[doc = include_str!("recipes.md")]
pub mod recipes {}

#[doc = include_str!("errors.md")]
pub mod errors {}

#[doc = include_str!("troubleshooting.md")]
pub mod troubleshooting {}

#[doc = include_str!("retries.md")]
pub mod retries {}

#[doc = include_str!("secrets.md")]
pub mod secrets {}

#[doc = include_str!("entra.md")]
pub mod entra {}

#[doc = include_str!("testing.md")]
pub mod testing {}

#[doc = include_str!("performance.md")]
pub mod performance {}

#[doc = include_str!("official_sdks.md")]
pub mod official_sdks {}

#[doc = include_str!("from_python.md")]
pub mod from_python {}
