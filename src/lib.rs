//! A small blocking client for the identity service of Azure Communication Services (ACS).

mod timestamp;

#[cfg(feature = "emulator")]
pub mod emulator;
