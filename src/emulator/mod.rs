//! A local identity service for tests.
