//! Checks the proxy that the environment names: if ureq cannot use it, it silently connects directly, or
//! to a port that nobody named.

use std::env;
use std::ffi::OsStr;

use ureq::http::Uri;
use ureq::{Proxy, ProxyProtocol};

use crate::error::Error;

/// In ureq's order of precedence.
const VARIABLES: [&str; 6] =
    ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];

/// Returns the proxy for this URL, if a variable names one.
pub(super) fn from_env(url: &Uri) -> Result<Option<Proxy>, Error> {
    let set = |name: &&str| env::var_os(name).filter(|value| !value.is_empty());
    let Some((name, value)) = VARIABLES.iter().find_map(|name| Some((*name, set(name)?))) else {
        return Ok(None);
    };
    let proxy = Proxy::try_from_env();
    if proxy.as_ref().is_some_and(|proxy| proxy.is_no_proxy(url)) {
        return Ok(proxy);
    }
    if !is_supported(&value) {
        // Without the value, which may hold a password.
        return Err(Error::invalid_input(format!(
            "{name} does not name an http or https proxy with a valid port: correct or unset it, or pass an agent that can use it"
        )));
    }
    Ok(proxy)
}

fn is_supported(value: &OsStr) -> bool {
    value.to_str().and_then(|value| Proxy::new(value).ok()).is_some_and(|proxy| {
        matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https)
            && !proxy.host().is_empty()
            && has_readable_port(proxy.uri())
    })
}

/// Whether the port, if there is one, is a number that ports have. ureq takes the default for any other.
fn has_readable_port(uri: &Uri) -> bool {
    uri.authority().is_some_and(|authority| {
        let host_and_port = authority.as_str().rsplit('@').next();
        authority.port_u16().is_some() || host_and_port == Some(authority.host())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_proxies_are_supported() {
        for (value, supported) in [
            ("http://proxy.example.com:3128", true),
            ("https://user:password@proxy.example.com", true),
            ("proxy.example.com:8080", true),
            ("socks5://proxy.example.com", false),
            ("socks4://proxy.example.com", false),
            ("ftp://proxy.example.com", false),
            ("http://", false),
            ("http://user:password@:3128", false),
            ("http://[::1]", true),
            ("http://[::1]:65535", true),
            ("http://proxy.example.com:65536", false),
            ("http://user:password@proxy.example.com:8o80", false),
            ("proxy.example.com:port", false),
            ("http://proxy:proxy", false),
            ("http://proxy.example.com:", false),
            (" ", false),
        ] {
            assert_eq!(is_supported(OsStr::new(value)), supported, "{value}");
        }
    }
}
