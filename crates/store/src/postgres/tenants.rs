//! The deletion of tenants.

use likeness_domain::ports::Change;
use likeness_domain::types::TenantId;

use super::errors::Answer;
use super::transaction::WriteTx;
use super::{face_sets, rows};

/// Takes the tenant, its keys and the names of its face sets away, which hides everything that it has; the maintenance
/// erases the rest. See `GalleryStore::delete_tenant`.
pub(super) async fn delete(tx: &mut WriteTx, tenant: TenantId) -> Answer<bool> {
    let id = rows::tenant_bytes(tenant);
    tx.session.execute("DELETE FROM access_keys WHERE tenant = $1", &[&id]).await?;
    if tx.session.execute("DELETE FROM tenants WHERE id = $1", &[&id]).await? == 0 {
        return Ok(false);
    }
    tx.session.execute("INSERT INTO deleted_tenants (tenant) VALUES ($1)", &[&id]).await?;
    for set in face_sets::list(&tx.session, tenant).await? {
        face_sets::hide(tx, set.face_set.id).await?;
    }
    tx.push(Change::TenantDeleted(tenant));
    tx.leaves_rows = true;
    Ok(true)
}
