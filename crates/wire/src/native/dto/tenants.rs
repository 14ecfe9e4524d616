//! Tenants, for an operator.

use serde::{Deserialize, Serialize};

use super::Usage;

/// A tenant: its face sets, persons and keys are its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tenant {
    /// Unique in the installation.
    pub name: String,
    /// Its id, as some dialects have it in their paths.
    pub project_id: String,
    /// When it was made, RFC 3339, UTC.
    pub created_at: String,
    /// How much it may hold and how often it may call.
    pub limits: TenantLimits,
    /// How much it has; only where one tenant is asked for.
    pub usage: Option<Usage>,
}

/// The limits of a tenant; one that is left out is no bound.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TenantLimits {
    /// Most face sets.
    pub face_sets_max: Option<u64>,
    /// Most faces, all face sets and persons together.
    pub faces_max: Option<u64>,
    /// Most persons.
    pub persons_max: Option<u64>,
    /// Most faces that one face set shows.
    pub set_faces_max: Option<u64>,
    /// Most faces of one person.
    pub person_faces_max: Option<u64>,
    /// Most calls a second, all keys and dialects together.
    pub calls_per_second: Option<u32>,
}

/// Limits of a request; what is absent stays as it is, `null` takes a limit away.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeLimits {
    /// Most face sets.
    #[serde(default, deserialize_with = "super::number_or_null", skip_serializing_if = "Option::is_none")]
    pub face_sets_max: Option<Option<u64>>,
    /// Most faces, all face sets and persons together.
    #[serde(default, deserialize_with = "super::number_or_null", skip_serializing_if = "Option::is_none")]
    pub faces_max: Option<Option<u64>>,
    /// Most persons.
    #[serde(default, deserialize_with = "super::number_or_null", skip_serializing_if = "Option::is_none")]
    pub persons_max: Option<Option<u64>>,
    /// Most faces that one face set shows.
    #[serde(default, deserialize_with = "super::number_or_null", skip_serializing_if = "Option::is_none")]
    pub set_faces_max: Option<Option<u64>>,
    /// Most faces of one person.
    #[serde(default, deserialize_with = "super::number_or_null", skip_serializing_if = "Option::is_none")]
    pub person_faces_max: Option<Option<u64>>,
    /// Most calls a second, all keys and dialects together, at least 1.
    #[serde(default, deserialize_with = "super::number_or_null", skip_serializing_if = "Option::is_none")]
    pub calls_per_second: Option<Option<u64>>,
}

/// Request to make a tenant.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateTenant {
    /// Unique in the installation, 1 to 64 of `A-Z a-z 0-9 _ - .`.
    pub name: String,
    /// How much it may hold and how often it may call; without them as much as the disk holds.
    pub limits: Option<ChangeLimits>,
}

/// Request to change the limits of a tenant.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateTenant {
    /// Those that are to change.
    pub limits: ChangeLimits,
}

/// The tenants of the installation, or a stretch of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tenants {
    /// Oldest first.
    pub tenants: Vec<Tenant>,
    /// Where the next stretch begins; left out at the end.
    pub next_cursor: Option<String>,
}

/// A tenant that was deleted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TenantDeleted {
    /// Its name.
    pub deleted: String,
}
