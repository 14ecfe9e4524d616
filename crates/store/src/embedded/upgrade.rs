//! How an older layout becomes the present one.

use rusqlite::{Connection, TransactionBehavior};

use super::errors::Answer;
use super::report;
use super::respell::{self, Respelled};
use super::schema::{APPLICATION_ID, Migration, version};

/// Brings the file to the last of `migrations`, in one transaction: after a crash it is the old layout or the new one.
/// Call it with the data folder's lock held.
pub(super) fn migrate(conn: &mut Connection, migrations: &[Migration]) -> Answer<()> {
    let n_known = migrations.len() as u32;
    let found = version(conn, n_known)?;
    if found == n_known {
        return Ok(());
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for migration in &migrations[found as usize..] {
        match migration {
            Migration::Script(script) => tx.execute_batch(script)?,
            Migration::Code(upgrade) => upgrade(&tx)?,
        }
    }
    // Names that are not in NFC are of layouts before 9. It is done once the layout is the present one, whose columns it knows.
    let respelled = (1..9).contains(&found) && n_known >= 9;
    let respelled = respelled.then(|| respell::respell(&tx)).transpose()?.unwrap_or_default();
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", n_known)?;
    tx.commit()?;
    if found > 0 {
        tracing::info!(from = found, to = n_known, "store layout upgraded");
        let Respelled { n_rows, n_subjects_joined, n_persons_joined, n_renamed } = respelled;
        if n_subjects_joined + n_persons_joined + n_renamed > 0 {
            tracing::warn!(
                n_rows,
                n_subjects_joined,
                n_persons_joined,
                n_renamed,
                "names are in Unicode NFC now, and some were different by their spelling only; `likeness check` lists them"
            );
        } else if n_rows > 0 {
            tracing::info!(n_rows, "names are in Unicode NFC now");
        }
        // Rows of old layouts had no checksums: the ones that were just made hold for whatever stood there.
        let mut problems = Vec::new();
        report::owners(conn, &mut problems)?;
        for problem in problems {
            tracing::error!("{problem}");
        }
    }
    Ok(())
}
