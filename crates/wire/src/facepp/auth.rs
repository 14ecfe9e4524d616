//! Who asks: key and secret in clear, among the other fields.

use likeness_domain::types::AccessKey;

use super::errors::{self, Blame, Failure};
use crate::http::signing::same;
use crate::megvii::fields::Fields;
use crate::services::Services;

/// Establishes who asks. An unknown key and a wrong secret get the same answer.
pub(super) async fn authenticate(fields: &Fields, wire: &Services) -> Result<AccessKey, Failure> {
    let now = wire.clock.now();
    fields.require(&["api_key", "api_secret"])?;
    let id = fields.text("api_key").ok().flatten().unwrap_or_default();
    let key = wire.key(id).await.map_err(|error| errors::library(error, &Blame::NOBODY))?;
    let secret = fields.get("api_secret").map(|field| &*field.bytes).unwrap_or_default();
    let is_right = |key: &AccessKey| key.secrets(now).any(|known| same(known.reveal().as_bytes(), secret));
    let key = key.filter(is_right).ok_or_else(errors::unknown_key)?;
    if !key.is_usable(now) {
        return Err(Failure::refused("Denied by Admin"));
    }
    Ok(key)
}
