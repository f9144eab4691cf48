//! Authorities as platform teams have them, good and bad, and what a client thinks of their certificates.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, DnValue, GeneralSubtree, IsCa, KeyPair,
    KeyUsagePurpose, NameConstraints, PKCS_RSA_SHA256,
};
use tempfile::TempDir;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::{FromDer as _, GeneralName};

use super::leaves::{Leaves, NoLeaf};
use super::{Authority, AuthorityError, Interception, NoTunnel};
use crate::config::interception::Interception as Settings;
use crate::config::sidecar::Sidecar;
use crate::model::time::Clock;
use crate::net::tls;

/// The files of an authority.
struct Files {
    folder: TempDir,
}

impl Files {
    /// Those of a good one, unless `change` makes it another.
    fn of(change: impl FnOnce(&mut CertificateParams)) -> Self {
        Self::with(&KeyPair::generate().unwrap(), change)
    }

    fn with(key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = authority();
        change(&mut params);
        let files = Self { folder: tempfile::tempdir().unwrap() };
        files.write("ca.crt", &params.self_signed(key).unwrap().pem());
        files.write("ca.key", &key.serialize_pem());
        files
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn settings(&self) -> Settings {
        let [certificate, key] = [self.path("ca.crt"), self.path("ca.key")];
        Settings { certificate, key, leaf_hours: 24, ports: vec![443], tunnels: 1 }
    }

    fn load(&self) -> Result<Authority, AuthorityError> {
        Authority::load(&self.settings())
    }

    /// What a sidecar makes of it whose routes are intercepted for this host.
    fn serve(&self, host: &str) -> Result<Option<Interception>, AuthorityError> {
        let text = format!(
            "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nissuer = \"http://127.0.0.1:1\"\n\
             [interception]\ncertificate = \"{}\"\nkey = \"{}\"\n[upstreams.cloud]\nurl = \"http://127.0.0.1:1\"\n\
             [[route]]\npath = \"/\"\nhost = \"{host}\"\nintercept = true\nupstream = \"cloud\"\nadapter = \"acs\"\n\
             product = \"ecs\"\n",
            self.path("ca.crt").display(),
            self.path("ca.key").display()
        );
        Interception::new(&Sidecar::parse("sidecar.toml".as_ref(), &text).unwrap(), &Clock::system())
    }
}

fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "Platform team's tunnels");
    params.distinguished_name.push(DnType::CountryName, DnValue::PrintableString("DE".try_into().unwrap()));
    params
}

fn now() -> Timestamp {
    Clock::system().now()
}

#[test]
fn a_certificate_is_for_one_host_and_for_hours_and_is_believed() {
    let files = Files::of(|_| {});
    let (authority, now) = (files.load().unwrap(), now());
    let leaf = authority.issue("ecs.example", now).unwrap();
    let (_, read) = X509Certificate::from_der(&leaf.chain[0]).unwrap();
    let names = read.subject_alternative_name().unwrap().unwrap().value;
    assert_eq!(names.general_names, [GeneralName::DNSName("ecs.example")]);
    let usage = read.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth && !usage.any && !usage.code_signing);
    let usage = read.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && !usage.key_cert_sign());
    assert!(!read.is_ca());
    assert_eq!(read.subject_pki.subject_public_key.data.len(), 65, "a point of P-256");
    let (from, until) = (read.validity().not_before.timestamp(), read.validity().not_after.timestamp());
    assert!(from < now.as_second() && until - now.as_second() <= 24 * 3600 && until > now.as_second());
    let seconds = u64::try_from(now.as_second()).unwrap();
    tls::is_believed(&leaf.chain[0], &leaf.chain[1], "ecs.example", seconds).unwrap();

    for (host, at) in
        [("rds.example", seconds), ("a.ecs.example", seconds), ("ecs.example", seconds + 25 * 3600)]
    {
        assert!(tls::is_believed(&leaf.chain[0], &leaf.chain[1], host, at).is_err(), "{host}");
    }
    let other = Files::of(|_| {}).load().unwrap().issue("ecs.example", now).unwrap();
    assert!(tls::is_believed(&leaf.chain[0], &other.chain[1], "ecs.example", seconds).is_err());
    let again = authority.issue("ecs.example", now).unwrap();
    let (_, again) = X509Certificate::from_der(&again.chain[0]).unwrap();
    assert_ne!(again.raw_serial(), read.raw_serial());
}

#[test]
fn authorities_of_other_kinds_serve_too() {
    let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    assert!(Files::with(&rsa, |_| {}).serve("*.aliyuncs.com").unwrap().is_some());
    let limited = Files::of(|params| params.name_constraints = permitted("aliyuncs.com"));
    assert!(limited.serve("ecs*.aliyuncs.com").unwrap().is_some());

    // One that another one has made. What is shown goes on to the one that clients trust.
    let mut above = authority();
    above.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(above, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let files = Files::with(&key, |_| {});
    let mut params = authority();
    params.use_authority_key_identifier_extension = true;
    files.write("ca.crt", &format!("{}{}", params.signed_by(&key, &root).unwrap().pem(), root.pem()));
    assert_eq!(files.load().unwrap().issue("ecs.example", now()).unwrap().chain.len(), 3);
}

#[test]
fn what_is_no_authority_is_refused_with_its_file_and_the_mend() {
    let told = |files: &Files| {
        let error = files.serve("ecs.aliyuncs.com").err().unwrap().to_string();
        let secret = std::fs::read_to_string(files.path("ca.key")).unwrap_or_default();
        assert!(secret.lines().all(|line| line.len() < 16 || !error.contains(line)), "{error}");
        assert!(error.contains("[interception]"), "{error}");
        error
    };
    let says = |files: &Files, file: &str, why: &str| {
        let told = told(files);
        assert!(told.contains(&files.path(file).display().to_string()) && told.contains(why), "{told}");
    };
    says(&Files::of(|params| params.is_ca = IsCa::NoCa), "ca.crt", "is no certificate of an authority");
    says(
        &Files::of(|params| params.is_ca = IsCa::ExplicitNoCa),
        "ca.crt",
        "is no certificate of an authority",
    );
    let signing =
        |params: &mut CertificateParams| params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    says(&Files::of(signing), "ca.crt", "may not sign certificates");
    let past = |params: &mut CertificateParams| params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    says(&Files::of(past), "ca.crt", "renew it");
    let future = |params: &mut CertificateParams| params.not_before = rcgen::date_time_ymd(2400, 1, 1);
    says(&Files::of(future), "ca.crt", "is good from 2400-01-01T00:00:00Z");
    let elsewhere = |params: &mut CertificateParams| params.name_constraints = permitted("example.com");
    says(&Files::of(elsewhere), "ca.crt", "does not believe what it says of ecs.aliyuncs.com");

    let files = Files::of(|_| {});
    files.write("ca.key", &KeyPair::generate().unwrap().serialize_pem());
    says(&files, "ca.key", "does not belong to the certificate");
    files.write(
        "ca.key",
        "-----BEGIN PRIVATE KEY-----\nc2VjcmV0IHNlY3JldCBzZWNyZXQ=\n-----END PRIVATE KEY-----\n",
    );
    says(&files, "ca.key", "holds no private key");
    std::fs::remove_file(files.path("ca.key")).unwrap();
    says(&files, "ca.key", "cannot be read");
    files.write("ca.crt", "nothing");
    says(&files, "ca.crt", "holds no certificate");
    std::fs::remove_file(files.path("ca.crt")).unwrap();
    says(&files, "ca.crt", "cannot read");
}

#[test]
fn a_certificate_is_kept_for_half_its_life() {
    let (leaves, now) = (Leaves::new(Files::of(|_| {}).load().unwrap()), now());
    let at = |hours| leaves.of("ecs.example", now + SignedDuration::from_hours(hours)).unwrap();
    let first = at(0);
    assert!(Arc::ptr_eq(&first, &at(11)));
    assert!(!Arc::ptr_eq(&first, &leaves.of("rds.example", now).unwrap()));
    let second = at(13);
    assert!(!Arc::ptr_eq(&first, &second));
    // A clock that was set back does not make it good before its time.
    assert!(!Arc::ptr_eq(&second, &at(0)));
}

#[test]
fn what_could_not_be_made_is_found_once_in_a_minute() {
    let limited = Files::of(|params| params.name_constraints = permitted("aliyuncs.com"));
    let (leaves, now) = (Leaves::new(limited.load().unwrap()), now());
    let at = |seconds| leaves.of("ecs.example", now + SignedDuration::from_secs(seconds)).unwrap_err();
    let is_found = |why: NoLeaf| matches!(why, NoLeaf::Failed(AuthorityError::NotBelieved { .. }));
    assert!(is_found(at(0)));
    for seconds in [0, 1, 59] {
        assert!(matches!(at(seconds), NoLeaf::JustFailed), "{seconds}");
    }
    assert!(is_found(at(60)) && matches!(at(61), NoLeaf::JustFailed));
    // A clock that was set back does not keep it refused, and no other host is.
    assert!(is_found(at(-1000)));
    assert!(leaves.of("ecs.aliyuncs.com", now).is_ok());
    assert!(is_found(leaves.of("rds.example", now).unwrap_err()));
}

#[test]
fn so_many_certificates_are_made_in_a_second_and_no_more() {
    let limited = Files::of(|params| params.name_constraints = permitted("aliyuncs.com"));
    let (leaves, now) =
        (Leaves::new(limited.load().unwrap()), Timestamp::from_second(now().as_second()).unwrap());
    let host = |number: i64| format!("ecs{number}.aliyuncs.com");
    let of =
        |number: i64, milliseconds| leaves.of(&host(number), now + SignedDuration::from_millis(milliseconds));
    // One that fails was work too.
    assert!(matches!(leaves.of("ecs.example", now), Err(NoLeaf::Failed(_))));
    for number in 1..50 {
        assert!(of(number, number * 10).is_ok(), "{number}");
    }
    assert!(matches!(of(50, 900), Err(NoLeaf::TooMany { again: false })));
    assert!(matches!(of(51, 999), Err(NoLeaf::TooMany { again: true })), "it is said once");
    // What needs none to be made is answered as ever.
    assert!(of(7, 999).is_ok() && matches!(leaves.of("ecs.example", now), Err(NoLeaf::JustFailed)));
    for number in 50..100 {
        assert!(of(number, 1000).is_ok(), "{number}");
    }
    assert!(matches!(of(100, 1001), Err(NoLeaf::TooMany { again: true })));
    let (status, code, _) = NoLeaf::TooMany { again: true }.told("ecs.aliyuncs.com").says();
    assert_eq!((status.as_u16(), code), (503, "tunnel_certificates"));
    assert!(matches!(NoLeaf::JustFailed.told("ecs.example"), NoTunnel::Certificate));
}

#[test]
fn who_has_a_certificate_goes_on_to_be_served_whatever_others_ask_for() {
    let (leaves, now) = (Leaves::new(Files::of(|_| {}).load().unwrap()), now());
    let first = leaves.of("ecs.example", now).unwrap();
    let flood = |later| {
        (0..50).for_each(|number| drop(leaves.of(&format!("ecs{number}-{later}.example"), later)));
        leaves.of("ecs.example", later)
    };
    // In the second half of its life, and not after its end.
    assert!(Arc::ptr_eq(&first, &flood(now + SignedDuration::from_hours(13)).unwrap()));
    let ended = flood(now + SignedDuration::from_hours(25));
    assert!(matches!(ended, Err(NoLeaf::TooMany { .. })));
}

fn permitted(domain: &str) -> Option<NameConstraints> {
    let permitted_subtrees = vec![GeneralSubtree::DnsName(domain.to_owned())];
    Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() })
}
