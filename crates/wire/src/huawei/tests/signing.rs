//! Signing as a client does it, written from the specification's text alone and without the code under test.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// An access key and a date to sign with.
pub(in crate::huawei) struct Signer<'a> {
    pub(in crate::huawei) id: &'a str,
    pub(in crate::huawei) secret: &'a str,
    /// `YYYYMMDDThhmmssZ`.
    pub(in crate::huawei) date: &'a str,
}

/// The six pieces joined by line feeds. `path` is canonical already; pairs and headers are sorted by the caller.
pub(in crate::huawei) fn canonical(
    method: &str,
    path: &str,
    query: &[(&str, &str)],
    headers: &[(&str, &str)],
    body: &[u8],
) -> String {
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{}={}", quote(name), quote(value))).collect();
    let block: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let unsigned =
        headers.iter().find(|(name, _)| *name == "x-sdk-content-sha256").map(|(_, value)| (*value).to_owned());
    let payload = unsigned.filter(|_| !body.is_empty()).unwrap_or_else(|| digest(body));
    [method, path, &query.join("&"), &block, &names.join(";"), &payload].join("\n")
}

impl Signer<'_> {
    pub(in crate::huawei) fn authorization(&self, algorithm: &str, canonical: &str, names: &str) -> String {
        let to_sign = format!("{algorithm}\n{}\n{}", self.date, digest(canonical.as_bytes()));
        let signature = hmac(self.secret.as_bytes(), to_sign.as_bytes());
        format!("{algorithm} Access={}, SignedHeaders={names}, Signature={signature}", self.id)
    }
}

fn quote(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hmac(key: &[u8], message: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
