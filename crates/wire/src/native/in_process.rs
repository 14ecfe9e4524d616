//! Calls with the native API's types, for callers within the process that have a library but no router. Its handlers are such.

use likeness_domain::Error;
use likeness_domain::access::Caller;
use likeness_domain::library::Library;

use super::convert::Detected;
use super::{convert, dto, explain};

/// Compares with the native API's types.
pub async fn compare(library: &Library, caller: &Caller, body: dto::Compare) -> Result<dto::Comparison, Error> {
    if body.explain || body.crops {
        return explain::compare(library, caller, body).await;
    }
    let far = body.far;
    let answer = library.compare(caller, convert::compare_images(body)?).await?;
    convert::comparison(library, far, answer)
}

/// Detects with the native API's types.
pub async fn detect(library: &Library, caller: &Caller, body: dto::Detect) -> Result<Detected, Error> {
    let (image, aspects) = convert::detect(body)?;
    let analysis = library.detect(caller, image, aspects).await?;
    Ok(Detected { analysis, not_measured: convert::not_measured(aspects, library.aspects()) })
}
