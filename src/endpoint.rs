//! The address of an ACS resource, parsed once.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::error::Error;

/// The address of an ACS resource, such as `https://contoso.communication.azure.com`.
///
/// Kept in the form that is both signed and sent: scheme and host in lower case, without the scheme's
/// default port, IPv6 in brackets, no slash at the end. Plain `http` is accepted for loopback hosts
/// only (`localhost`, `127.0.0.0/8`, `[::1]`), since an eavesdropper could replay every request.
///
/// # Examples
///
/// ```
/// use acs_identity::Endpoint;
///
/// let endpoint: Endpoint = "HTTPS://Contoso.communication.azure.com:443/".parse()?;
/// assert_eq!(endpoint.to_string(), "https://contoso.communication.azure.com");
/// assert_eq!(endpoint.host(), "contoso.communication.azure.com");
/// assert!("http://contoso.communication.azure.com".parse::<Endpoint>().is_err());
/// # Ok::<(), acs_identity::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    https: bool,
    loopback: bool,
    /// Scheme and host, without a slash at the end.
    url: String,
}

impl Endpoint {
    /// Returns the host as it is signed and sent: with the port unless it is the scheme's default.
    pub fn host(&self) -> &str {
        let scheme = if self.https { "https://" } else { "http://" };
        self.url.strip_prefix(scheme).unwrap_or_default()
    }

    /// The URL without a slash at its end.
    pub(crate) fn as_str(&self) -> &str {
        &self.url
    }

    pub(crate) fn is_https(&self) -> bool {
        self.https
    }

    pub(crate) fn is_loopback(&self) -> bool {
        self.loopback
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    /// Parses an absolute URL without user name, path, query or fragment. White space around it is
    /// ignored.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if there is no scheme or one other than http
    /// and https, no valid host, an invalid port, a user name, a path, a query or a fragment, or if
    /// the scheme is http and the host is not a loopback host. The text names the part and never shows
    /// the value, since people paste keys into the wrong field.
    fn from_str(url: &str) -> Result<Self, Error> {
        let url = url.trim();
        if url.is_empty() {
            return Err(rejected("is empty"));
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(rejected("has no scheme"));
        };
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(rejected("has a scheme other than https")),
        };
        if rest.contains(['?', '#']) {
            return Err(rejected("has a query or a fragment"));
        }
        let authority = match rest.split_once('/') {
            None => rest,
            Some((authority, "")) => authority,
            Some(_) => return Err(rejected("has a path")),
        };
        if authority.contains('@') {
            return Err(rejected("has a user name or password"));
        }
        let (host, port) = split_port(authority)?;
        let (host, loopback) = parse_host(host)?;
        if !https && !loopback {
            return Err(Error::invalid_input(
                "endpoint is plain http: use https (http is for loopback hosts only)",
            ));
        }
        let default_port = if https { 443 } else { 80 };
        let host = match port {
            Some(port) if port != default_port => format!("{host}:{port}"),
            _ => host,
        };
        let scheme = if https { "https" } else { "http" };
        Ok(Self { https, loopback, url: format!("{scheme}://{host}") })
    }
}

/// The URL without a slash at its end.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// The longest name that DNS has.
const MAX_HOST: usize = 253;

fn rejected(why: &str) -> Error {
    Error::invalid_input(format!(
        "endpoint {why}: expected https://<resource>.communication.azure.com"
    ))
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), Error> {
    match authority.rsplit_once(':') {
        // The last colon of an IPv6 address stands within its brackets.
        Some((host, port)) if !port.ends_with(']') => {
            let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
            let number = port.parse().ok().filter(|number| is_number && *number > 0);
            Ok((host, Some(number.ok_or_else(|| rejected("has an invalid port"))?)))
        }
        _ => Ok((authority, None)),
    }
}

/// The host in its canonical form, and whether it is a loopback host.
fn parse_host(host: &str) -> Result<(String, bool), Error> {
    if let Some(literal) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr =
            literal.parse().map_err(|_| rejected("has an invalid IPv6 address"))?;
        return Ok((format!("[{address}]"), address.is_loopback()));
    }
    let label_is_valid = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if host.len() > MAX_HOST || !host.split('.').all(label_is_valid) {
        return Err(rejected("has an invalid host name"));
    }
    let host = host.to_ascii_lowercase();
    let loopback =
        host == "localhost" || host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback());
    Ok((host, loopback))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn endpoint_is_normalized() {
        for (url, canonical) in [
            ("https://contoso.communication.azure.com", "https://contoso.communication.azure.com"),
            (" https://Contoso.Example.com/\r\n", "https://contoso.example.com"),
            ("HTTPS://A:443/", "https://a"),
            ("https://a:80", "https://a:80"),
            ("https://a:8443/", "https://a:8443"),
            ("http://localhost:80", "http://localhost"),
            ("http://LocalHost:8080", "http://localhost:8080"),
            ("http://127.8.9.10:443", "http://127.8.9.10:443"),
            ("http://[0:0:0:0:0:0:0:1]:8080/", "http://[::1]:8080"),
            ("https://[2001:DB8::1]", "https://[2001:db8::1]"),
        ] {
            let endpoint: Endpoint = url.parse().unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(endpoint.to_string(), canonical, "{url}");
            assert_eq!(endpoint.is_https(), canonical.starts_with("https"), "{url}");
            // Plain http is for loopback hosts only.
            assert_eq!(endpoint.is_loopback(), !endpoint.is_https(), "{url}");
        }
    }

    #[test]
    fn endpoint_that_is_invalid_is_rejected_with_the_reason() {
        for (url, why) in [
            ("", "is empty"),
            ("contoso.communication.azure.com", "has no scheme"),
            ("sb://contoso.communication.azure.com", "has a scheme other than https"),
            ("https://a/path", "has a path"),
            ("https://a//", "has a path"),
            ("https://a/?q=1", "has a query or a fragment"),
            ("https://a#f", "has a query or a fragment"),
            ("https://user:secret@a", "has a user name or password"),
            ("https://", "has an invalid host name"),
            ("https://a b", "has an invalid host name"),
            ("https://a..b", "has an invalid host name"),
            ("https://contoso.communication.azure.com\"", "has an invalid host name"),
            ("https://bücher.example", "has an invalid host name"),
            ("https://a:", "has an invalid port"),
            ("https://a:0", "has an invalid port"),
            ("https://a:+1", "has an invalid port"),
            ("https://a:65536", "has an invalid port"),
            ("https://a::1", "has an invalid host name"),
            ("https://[::g]", "has an invalid IPv6 address"),
            ("https://[::1", "has an invalid host name"),
        ] {
            let error = url.parse::<Endpoint>().unwrap_err().to_string();
            let expected =
                format!("endpoint {why}: expected https://<resource>.communication.azure.com");
            assert_eq!(error, expected, "{url}");
        }
    }

    #[test]
    fn endpoint_with_plain_http_is_for_loopback_only() {
        for url in ["http://contoso.communication.azure.com", "http://10.0.0.1", "http://128.0.0.1"]
        {
            let error = url.parse::<Endpoint>().unwrap_err().to_string();
            assert_eq!(
                error,
                "endpoint is plain http: use https (http is for loopback hosts only)"
            );
        }
    }

    proptest! {
        #[test]
        fn endpoint_parsing_is_idempotent_and_never_panics(url in "\\PC*|https?://[\\[\\]a-z0-9:./@?#%]{0,30}") {
            if let Ok(endpoint) = url.parse::<Endpoint>() {
                prop_assert_eq!(endpoint.to_string().parse::<Endpoint>().unwrap(), endpoint);
            }
        }
    }
}
