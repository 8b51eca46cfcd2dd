//! What a caller sets, calls and gets.

mod api_versions;
mod auto_traits;
mod connection_string;
mod credentials;
mod defaults;
mod entra;
mod ids;
mod interface;
mod observing;
mod operations;
mod proxies;
mod settings;
mod signing_vectors;
mod teams;
mod threads;
mod tls;
mod tokens;
mod troubleshooting;
