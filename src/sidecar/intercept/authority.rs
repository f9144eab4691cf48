//! The platform team's certificate authority, and the certificates that it gives: each for one host, for hours.
//!
//! In: two PEM files. Out: a certificate and a key of its own for a host, which was checked as a client that trusts the
//! authority alone would. The authority's key is read once and shown to nobody: not in a log, not in an error.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use zeroize::Zeroizing;

use crate::config::interception::Interception as Settings;
use crate::net::tls::{self, TlsError};
use crate::token::random::{self, NoRandomness};

/// A certificate authority.
pub struct Authority {
    /// Its certificate, and what follows it in its file.
    chain: Vec<CertificateDer<'static>>,
    issuer: Issuer<'static, KeyPair>,
    /// How long its own certificate is good.
    from: Timestamp,
    until: Timestamp,
    /// How long those that it gives are, at most.
    life: SignedDuration,
    file: PathBuf,
}

/// What an authority gives for one host.
pub struct Leaf {
    /// The certificate, and the authority's.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key, made for it.
    pub key: PrivateKeyDer<'static>,
    /// When it begins to be good.
    pub from: Timestamp,
    /// When it ends to be.
    pub until: Timestamp,
}

/// Why an authority cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Its certificate cannot be read.
    #[error("[interception] certificate: {0}")]
    Certificate(#[from] TlsError),
    /// Its certificate is none of an authority.
    #[error(
        "[interception] certificate: {} {why}; make an authority for this sidecar alone (basicConstraints CA:TRUE, \
         keyUsage keyCertSign)", path.display()
    )]
    NoAuthority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Its key cannot be read.
    #[error("[interception] key: {} {why}; give the PEM file of the authority's private key, not encrypted", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Its key is another one's.
    #[error(
        "[interception] key: {} does not belong to the certificate in {}; name the files of one authority",
        key.display(), certificate.display()
    )]
    OtherKey {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// Its time has not begun, or is over.
    #[error("[interception] certificate: {} is good from {from} until {until} only; renew it", path.display())]
    OutOfTime {
        /// The file.
        path: PathBuf,
        /// When it begins.
        from: Timestamp,
        /// When it ends.
        until: Timestamp,
    },
    /// It may not speak for the host.
    #[error(
        "[interception] certificate: who trusts {} does not believe what it says of {host}: {why}; let its name \
         constraints hold the routes that are intercepted", path.display()
    )]
    NotBelieved {
        /// The authority's file.
        path: PathBuf,
        /// The host.
        host: String,
        /// Why.
        why: String,
    },
    /// A certificate could not be made.
    #[error("no certificate could be made for {host}: {why}")]
    NotMade {
        /// The host.
        host: String,
        /// Why.
        why: String,
    },
    /// The machine gives no random bytes.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

impl Authority {
    /// Reads the files, and makes sure that they are one authority.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn load(settings: &Settings) -> Result<Self, AuthorityError> {
        let path = &settings.certificate;
        let chain = tls::certificates(path)?;
        let no_authority =
            |why: &str| AuthorityError::NoAuthority { path: path.clone(), why: why.to_owned() };
        let first = chain.first().ok_or_else(|| no_authority("holds no certificate"))?;
        let (rest, parsed) =
            X509Certificate::from_der(first).map_err(|_| no_authority("holds no X.509 certificate"))?;
        if !rest.is_empty() {
            return Err(no_authority("holds more than a certificate"));
        }
        may_issue(&parsed).map_err(no_authority)?;
        let key = key(&settings.key)?;
        if key.public_key_raw() != &*parsed.subject_pki.subject_public_key.data {
            let key = settings.key.clone();
            return Err(AuthorityError::OtherKey { key, certificate: path.clone() });
        }
        let moment = |seconds| Timestamp::from_second(seconds).map_err(|_| no_authority("has no time"));
        let from = moment(parsed.validity().not_before.timestamp())?;
        let until = moment(parsed.validity().not_after.timestamp())?;
        let issuer = Issuer::from_ca_cert_der(first, key);
        let issuer = issuer.map_err(|why| no_authority(&format!("has a name that cannot be read: {why}")))?;
        let life = SignedDuration::from_hours(i64::from(settings.leaf_hours));
        Ok(Self { issuer, from, until, life, file: path.clone(), chain })
    }

    /// A certificate for `host` and nothing else, good from now on, which who trusts this authority alone believes.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn issue(&self, host: &str, now: Timestamp) -> Result<Leaf, AuthorityError> {
        if !(self.from..self.until).contains(&now) {
            let (path, from, until) = (self.file.clone(), self.from, self.until);
            return Err(AuthorityError::OutOfTime { path, from, until });
        }
        let not_made = |why: String| AuthorityError::NotMade { host: host.to_owned(), why };
        let before = now.checked_sub(SKEW).map_err(|why| not_made(why.to_string()))?;
        let after = now.checked_add(self.life).map_err(|why| not_made(why.to_string()))?;
        let (from, until) = (before.max(self.from), after.min(self.until));
        // Certificates tell time by the calendar.
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let since = |at: Timestamp| Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0));
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = (epoch + since(from), epoch + since(until));
        params.serial_number = Some(serial()?);
        params.subject_alt_names =
            vec![SanType::DnsName(host.try_into().map_err(|why: rcgen::Error| not_made(why.to_string()))?)];
        params.distinguished_name = DistinguishedName::new();
        // The host is where clients look for it. Here it says to who looks at the certificate what it is.
        params.distinguished_name.push(DnType::CommonName, SUBJECT);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let made = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .and_then(|key| Ok((params.signed_by(&key, &self.issuer)?, key)));
        let (certificate, key) = made.map_err(|why| not_made(why.to_string()))?;
        self.check(certificate.der(), host, now)?;
        let chain = std::iter::once(certificate.into()).chain(self.chain.iter().cloned()).collect();
        Ok(Leaf { chain, key: key.into(), from, until })
    }

    /// Whether a client believes it: the authority may be limited to some names, or be known by one that this program
    /// writes in another way.
    fn check(&self, leaf: &CertificateDer<'_>, host: &str, now: Timestamp) -> Result<(), AuthorityError> {
        let not_believed =
            |why: String| AuthorityError::NotBelieved { path: self.file.clone(), host: host.to_owned(), why };
        let authority = self.chain.first().ok_or_else(|| not_believed("it is gone".to_owned()))?;
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        tls::is_believed(leaf, authority, host, seconds).map_err(|why| not_believed(why.to_string()))
    }
}

/// Whether a certificate is one of an authority (RFC 5280 sections 4.2.1.3 and 4.2.1.9).
fn may_issue(certificate: &X509Certificate<'_>) -> Result<(), &'static str> {
    let constraints =
        certificate.basic_constraints().map_err(|_| "has basicConstraints that cannot be read")?;
    if !constraints.is_some_and(|constraints| constraints.value.ca) {
        return Err("is no certificate of an authority");
    }
    let usage = certificate.key_usage().map_err(|_| "has a keyUsage that cannot be read")?;
    if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
        return Err("may not sign certificates");
    }
    Ok(())
}

fn key(path: &Path) -> Result<KeyPair, AuthorityError> {
    let wrong = |why: String| AuthorityError::Key { path: path.to_owned(), why };
    let pem = Zeroizing::new(
        std::fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?,
    );
    let open = std::fs::metadata(path).is_ok_and(|of| of.mode() & 0o007 != 0);
    if open {
        tracing::warn!(
            path = %path.display(),
            "everybody on this machine may read the key of the interception's authority; let its owner alone read it"
        );
    }
    // What the library would say of it could quote it.
    KeyPair::from_pem(&pem).map_err(|_| wrong("holds no private key that can be used".to_owned()))
}

/// Random, positive, and no longer than 20 bytes (RFC 5280 section 4.1.2.2).
fn serial() -> Result<SerialNumber, NoRandomness> {
    let mut bytes = [0; 16];
    random::fill(&mut bytes)?;
    // Neither negative nor shorter than it is.
    if let Some(first) = bytes.first_mut() {
        *first = *first & 0x3f | 0x40;
    }
    Ok(SerialNumber::from(bytes.to_vec()))
}

/// Clocks of clients that go slow by so much still believe what was made just now.
const SKEW: SignedDuration = SignedDuration::from_hours(1);
const SUBJECT: &str = "Opened by a Consentry sidecar";
