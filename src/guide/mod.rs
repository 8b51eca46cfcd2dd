//! Pages to read: [errors], [retries], [secrets], [testing], [entra], [from_python].
//!
//! They exist in the documentation only.

#[doc = include_str!("errors.md")]
pub mod errors {}

#[doc = include_str!("retries.md")]
pub mod retries {}

#[doc = include_str!("secrets.md")]
pub mod secrets {}

#[doc = include_str!("testing.md")]
pub mod testing {}

#[doc = include_str!("entra.md")]
pub mod entra {}

#[doc = include_str!("from_python.md")]
pub mod from_python {}
