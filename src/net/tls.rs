//! TLS on both sides, through rustls with the one cryptography provider, named explicitly.
//!
//! In: certificate, key and authority files (PEM). Out: a server side that can be reloaded while it serves
//! (the old one stays when the new one cannot be used), and a client side that trusts what was configured.
//! It watches no file; who does calls [`ServerTls::reload`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

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
    current: ArcSwap<ServerConfig>,
}

impl ServerTls {
    /// Loads a certificate chain and its key; offers HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// [`TlsError::Unreadable`] and [`TlsError::Unusable`].
    pub fn load(certificate: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let current = ArcSwap::from(server_config(certificate, key)?);
        Ok(Arc::new(Self { certificate: certificate.into(), key: key.into(), current }))
    }

    /// Reads the files again. New connections use the new certificate.
    ///
    /// # Errors
    /// As [`ServerTls::load`]; what was loaded before stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(server_config(&self.certificate, &self.key)?);
        Ok(())
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
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols =
        if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    Ok(Arc::new(config))
}

fn server_config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(certificate)?;
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|source| TlsError::Unreadable { path: key.into(), source })?;
    let unusable = |source| TlsError::Unusable { path: certificate.into(), source };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|source| TlsError::Unreadable { path: path.into(), source })
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
