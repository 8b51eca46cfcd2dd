//! What the client does when things go wrong: with the service, on the way to it, with clocks, and
//! with what a caller brings.

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
