//! A certificate that is made at the start, for a server on a laptop. No client trusts it.

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::sign::CertifiedKey;
use std::error::Error;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long it is valid. Some clients refuse a certificate that is valid for longer than 398 days.
const VALIDITY: Duration = DAY.saturating_mul(365);

/// Makes a key, and a certificate for `localhost` and `addresses`. Its time begins a day ago, for
/// clients whose clocks are late.
///
/// # Errors
/// There are no random numbers (getrandom(2)), or `now` is before 1970.
pub fn make(addresses: &[IpAddr], now: SystemTime) -> Result<CertifiedKey, Box<dyn Error>> {
    let names = addresses.iter().map(ToString::to_string);
    let names: Vec<_> = names.chain(["localhost".to_owned()]).collect();
    let mut params = CertificateParams::new(names)?;
    let subject = &mut params.distinguished_name;
    subject.push(DnType::CommonName, "oneloop, self-signed");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = now.duration_since(UNIX_EPOCH)?;
    params.not_before = date_time_ymd(1970, 1, 1) + now.saturating_sub(DAY);
    params.not_after = params.not_before + VALIDITY;
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = ring::default_provider();
    let chain = vec![certificate.der().clone()];
    Ok(CertifiedKey::from_der(chain, key.into(), &provider)?)
}
