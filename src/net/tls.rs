//! TLS on both sides, through rustls with the one cryptography provider, named explicitly.
//!
//! In: certificate, key and authority files (PEM). Out: a server side that can be reloaded while it serves
//! (the old one stays when the new one cannot be used), and a client side that trusts what was configured.
//! Who serves runs [`ServerTls::follow`] beside it, so that a renewed certificate is used without a restart.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{Context as Hash, SHA256};
use rustls::client::danger::ServerCertVerifier as _;
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use zeroize::Zeroizing;

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read as PEM.
    #[error("cannot read {}: {source}; give a PEM file that this process may read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// The certificate and the key cannot be used together, or not with this provider.
    #[error("cannot use {} with its key: {source}", path.display())]
    Unusable {
        /// The certificate file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// No client could be told apart with this authority.
    #[error("cannot use {} as the clients' authority: {source}", path.display())]
    NoClients {
        /// The authority's file.
        path: PathBuf,
        /// Why.
        source: VerifierBuilderError,
    },
    /// There is no certificate authority to trust.
    #[error("no certificate authority to trust was found in {from}; name a PEM file of the authority")]
    NoAuthority {
        /// Where they were looked for.
        from: String,
    },
}

/// The server's certificate and key, reloadable.
#[derive(Debug)]
pub struct ServerTls {
    certificate: PathBuf,
    key: PathBuf,
    clients: Option<PathBuf>,
    current: ArcSwap<ServerConfig>,
}

/// The certificate that a client has shown, which one of the configured authorities has signed. A request's extension.
#[derive(Debug, Clone)]
pub struct PeerCertificate(Arc<CertificateDer<'static>>);

impl PeerCertificate {
    pub(in crate::net) fn of(
        stream: &tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    ) -> Option<Self> {
        let shown = stream.get_ref().1.peer_certificates()?.first()?;
        Some(Self(Arc::new(shown.clone().into_owned())))
    }

    /// Whether it is for `name`, by its DNS names as RFC 6125 compares them.
    #[must_use]
    pub fn is_for(&self, name: &str) -> bool {
        let (Ok(certificate), Ok(name)) = (ParsedCertificate::try_from(&*self.0), ServerName::try_from(name))
        else {
            return false;
        };
        verify_server_name(&certificate, &name).is_ok()
    }
}

impl ServerTls {
    /// Loads a certificate chain and its key; offers HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// [`TlsError::Unreadable`] and [`TlsError::Unusable`].
    pub fn load(certificate: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        Self::for_clients(certificate, key, None)
    }

    /// The same, for clients alone that show a certificate of the authority `clients`, if one is given.
    ///
    /// # Errors
    /// As [`ServerTls::load`], and [`TlsError::NoClients`].
    pub fn for_clients(
        certificate: &Path,
        key: &Path,
        clients: Option<&Path>,
    ) -> Result<Arc<Self>, TlsError> {
        let current = ArcSwap::from(server_config(certificate, key, clients)?);
        let clients = clients.map(Path::to_path_buf);
        Ok(Arc::new(Self { certificate: certificate.into(), key: key.into(), clients, current }))
    }

    /// Reads the files again. New connections use the new certificate.
    ///
    /// # Errors
    /// As [`ServerTls::load`]; what was loaded before stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(server_config(&self.certificate, &self.key, self.clients.as_deref())?);
        Ok(())
    }

    /// Looks at the files every `period`, and reads them again when they hold something else. What cannot be used
    /// is told once, and what was loaded before stays in use. Ends when nobody uses the certificate any more.
    pub async fn follow(own: Weak<Self>, period: Duration) {
        // What they held when they were loaded is not known: they may have changed since.
        let mut seen = None;
        while let Some(own) = own.upgrade() {
            let look = move || own.look(seen);
            // Files of a network may take their time.
            match tokio::task::spawn_blocking(look).await {
                Ok(now) => seen = now,
                Err(error) => tracing::error!(%error, "the certificate's files could not be looked at"),
            }
            tokio::time::sleep(period).await;
        }
    }

    /// Loads the files if they are others than were `seen`; answers what they are now.
    fn look(&self, seen: Option<[u8; 32]>) -> Option<[u8; 32]> {
        let now = self.fingerprint();
        if now == seen && seen.is_some() {
            return seen;
        }
        let file = self.certificate.display();
        match self.reload() {
            Ok(()) if seen.is_some() => tracing::info!(%file, "the certificate was read again"),
            Ok(()) => {}
            Err(error) => tracing::error!(%file, %error, "the certificate before stays in use"),
        }
        now
    }

    /// Tells what the files hold, or that one cannot be read, from what it was before.
    fn fingerprint(&self) -> Option<[u8; 32]> {
        let mut hash = Hash::new(&SHA256);
        for path in [Some(&self.certificate), Some(&self.key), self.clients.as_ref()].into_iter().flatten() {
            let text = std::fs::read(path).map(Zeroizing::new);
            let length = text.as_ref().map_or(u64::MAX, |text| u64::try_from(text.len()).unwrap_or(u64::MAX));
            hash.update(&length.to_be_bytes());
            hash.update(text.as_ref().map_or(&[], |text| text.as_slice()));
        }
        hash.finish().as_ref().try_into().ok()
    }

    /// What a new connection uses.
    #[must_use]
    pub fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        tokio_rustls::TlsAcceptor::from(self.current.load_full())
    }
}

/// The client side: trusts the authorities of a PEM file, or those of the system.
///
/// # Errors
/// [`TlsError::Unreadable`] and [`TlsError::NoAuthority`].
pub fn client_config(authority: Option<&Path>, http2: bool) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = client_with(authority, None)?;
    config.alpn_protocols =
        if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    Ok(Arc::new(config))
}

/// The client side that shows a certificate of its own (its chain, and its key), if one is given. No protocol is
/// chosen yet.
///
/// # Errors
/// As [`client_config`], and [`TlsError::Unusable`].
pub fn client_with(authority: Option<&Path>, own: Option<(&Path, &Path)>) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    let from = match authority {
        Some(path) => {
            roots.add_parsable_certificates(certificates(path)?);
            path.display().to_string()
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            "the system's store".to_owned()
        }
    };
    if roots.is_empty() {
        return Err(TlsError::NoAuthority { from });
    }
    let unusable = |source| TlsError::Unusable { path: from.clone().into(), source };
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_root_certificates(roots);
    let Some((certificate, key)) = own else { return Ok(config.with_no_client_auth()) };
    let (chain, secret) = (certificates(certificate)?, secret(key)?);
    let unusable = |source| TlsError::Unusable { path: certificate.into(), source };
    config.with_client_auth_cert(chain, secret).map_err(unusable)
}

/// The client side that trusts nobody, for a client that speaks in the clear only.
///
/// # Errors
/// [`TlsError::Unusable`].
pub fn client_in_the_clear() -> Result<ClientConfig, TlsError> {
    let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let config = config.map_err(|source| TlsError::Unusable { path: PathBuf::new(), source })?;
    Ok(config.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// The server side with a certificate that was just made; offers HTTP/2 and HTTP/1.1. No session is resumed: each
/// handshake shows the certificate anew.
///
/// # Errors
/// The certificate and the key do not belong together, or not with this provider.
pub fn server_with(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let mut config = config.with_no_client_auth().with_single_cert(chain, key)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Whether who trusts `authority` alone believes at `now`, seconds since 1970, that `certificate` is for `host`
/// (RFC 5280 section 6, RFC 6125).
///
/// # Errors
/// Why not.
pub fn is_believed(
    certificate: &CertificateDer<'_>,
    authority: &CertificateDer<'static>,
    host: &str,
    now: u64,
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone())?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
    let verifier = verifier.build().map_err(|why| rustls::Error::General(why.to_string()))?;
    let host = ServerName::try_from(host).map_err(|why| rustls::Error::General(why.to_string()))?;
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
    verifier.verify_server_cert(certificate, &[], &host, &[], now).map(|_| ())
}

fn server_config(
    certificate: &Path,
    key: &Path,
    clients: Option<&Path>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let (chain, secret) = (certificates(certificate)?, secret(key)?);
    let unusable = |source| TlsError::Unusable { path: certificate.into(), source };
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let config = match clients {
        None => config.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
            config.with_client_cert_verifier(
                verifier.map_err(|source| TlsError::NoClients { path: path.into(), source })?,
            )
        }
    };
    let mut config = config.with_single_cert(chain, secret).map_err(unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn secret(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| TlsError::Unreadable { path: path.into(), source })
}

/// The certificates of a PEM file, in their order.
///
/// # Errors
/// [`TlsError::Unreadable`].
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|source| TlsError::Unreadable { path: path.into(), source })
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
