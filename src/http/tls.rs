//! The choice of TLS library and root certificates.

#[cfg(any(feature = "rustls", feature = "native-tls"))]
use ureq::tls::{PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

#[cfg(any(feature = "rustls", feature = "native-tls"))]
use crate::error::Error;

/// The TLS library for https, and the root certificates it trusts.
///
/// A variant exists if the cargo feature of its name is enabled. The default is
/// [`Rustls`](Self::Rustls) with the feature `rustls`, which is on by default, and the system's library
/// without it; enabling another feature beside `rustls` does not change it. To trust a private
/// certificate authority, see
/// [`root_certificates`](crate::CommunicationIdentityClientBuilder::root_certificates).
///
/// # Examples
///
/// ```
/// use acs_identity::{AccessKey, CommunicationIdentityClient, Tls};
///
/// let key: AccessKey = "c2VjcmV0".parse()?;
/// let endpoint = "https://contoso.communication.azure.com".parse()?;
/// let client = CommunicationIdentityClient::builder(endpoint, key).tls(Tls::Rustls).build()?;
/// # Ok::<(), acs_identity::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tls {
    /// rustls and ring, with Mozilla's root certificates compiled in (feature `rustls`).
    #[cfg(feature = "rustls")]
    Rustls,
    /// rustls, with the certificates that the operating system trusts (feature `platform-verifier`).
    #[cfg(feature = "platform-verifier")]
    PlatformVerifier,
    /// The system's library (OpenSSL, Schannel, Secure Transport) and its certificates (feature
    /// `native-tls`).
    #[cfg(feature = "native-tls")]
    NativeTls,
}

impl Tls {
    /// `None` if the crate was built without TLS.
    #[cfg(feature = "rustls")]
    pub(crate) const DEFAULT: Option<Self> = Some(Self::Rustls);
    #[cfg(all(feature = "native-tls", not(feature = "rustls")))]
    pub(crate) const DEFAULT: Option<Self> = Some(Self::NativeTls);
    #[cfg(not(any(feature = "rustls", feature = "native-tls")))]
    pub(crate) const DEFAULT: Option<Self> = None;

    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    pub(super) fn config(self, own_roots: Option<&[u8]>) -> Result<TlsConfig, Error> {
        let (provider, roots) = match self {
            #[cfg(feature = "rustls")]
            Self::Rustls => (TlsProvider::Rustls, RootCerts::WebPki),
            #[cfg(feature = "platform-verifier")]
            Self::PlatformVerifier => (TlsProvider::Rustls, RootCerts::PlatformVerifier),
            #[cfg(feature = "native-tls")]
            Self::NativeTls => (TlsProvider::NativeTls, RootCerts::PlatformVerifier),
        };
        let roots = own_roots.map(parse_roots).transpose()?.unwrap_or(roots);
        Ok(TlsConfig::builder().provider(provider).root_certs(roots).build())
    }
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
fn parse_roots(pem: &[u8]) -> Result<RootCerts, Error> {
    const SEQUENCE: u8 = 0x30;
    let malformed = || Error::invalid_input("root_certificates is not valid PEM");
    let pem = pem.strip_prefix("\u{feff}".as_bytes()).unwrap_or(pem);
    let mut certificates = Vec::new();
    for item in parse_pem(pem) {
        let item = item.map_err(|error| malformed().with_source(error))?;
        if let PemItem::Certificate(certificate) = item {
            if certificate.der().first() != Some(&SEQUENCE) {
                // ureq would take it for a certificate.
                return Err(malformed());
            }
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(Error::invalid_input("root_certificates holds no certificate in PEM"));
    }
    Ok(certificates.into())
}

#[cfg(all(test, feature = "rustls"))]
mod tests {
    use super::*;

    #[test]
    fn root_certificates_are_read_from_pem() {
        let root = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let pem = root.cert.pem();
        let two = format!("\u{feff}# comment\n{pem}{}{pem}", root.signing_key.serialize_pem());
        let config = Tls::Rustls.config(Some(two.as_bytes())).unwrap();
        let RootCerts::Specific(roots) = config.root_certs() else { panic!("{config:?}") };
        assert_eq!(roots.len(), 2);
        for (pem, problem) in [
            ("", "root_certificates holds no certificate in PEM"),
            (&*root.signing_key.serialize_pem(), "root_certificates holds no certificate in PEM"),
            ("-----BEGIN CERTIFICATE-----\n!\n", "root_certificates is not valid PEM"),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "root_certificates is not valid PEM",
            ),
        ] {
            let error = Tls::Rustls.config(Some(pem.as_bytes())).unwrap_err();
            assert_eq!(error.to_string(), problem);
        }
    }
}
