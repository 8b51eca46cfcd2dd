//! What the client does when something fails: the service, the network, a clock, or the caller's own
//! agent, credential or arguments.

mod clock;
mod connections;
mod created;
mod cuts;
mod doubt;
mod gateways;
mod http;
mod names;
mod promises;
mod responses;
mod secrets;
mod service_errors;
mod soak;
mod table;
mod texts;
mod time;
mod tls;
