//! What an access key may do, and with which face sets.

use std::fmt;
use std::sync::Arc;

use crate::types::FaceSetId;
use crate::{Error, Result};

/// One thing a caller may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// List and read face sets, faces and persons.
    Read,
    /// Detect, compare, search, judge liveness.
    Search,
    /// Enrol faces, make persons, and change what is said of faces and persons.
    Enrol,
    /// Delete faces and persons, and take them out of face sets.
    Delete,
    /// Make, change and, together with [`Grant::Delete`], delete face sets; see and change access keys.
    Manage,
    /// Handle templates themselves: together with [`Grant::Read`] export them, together with [`Grant::Enrol`] enrol faces by
    /// them. Not among the grants of a key unless it is asked for, since a template says who somebody is.
    Templates,
    /// Make, limit, see and delete tenants, and see the state of the whole store. Whoever has it has no other: it opens no
    /// tenant's faces. No tenant's key can give it.
    Operate,
}

impl Grant {
    /// Every grant, in the order in which they are written.
    pub const ALL: [Grant; 7] =
        [Grant::Read, Grant::Search, Grant::Enrol, Grant::Delete, Grant::Manage, Grant::Templates, Grant::Operate];

    /// Its word, as the command line takes it and stores keep it.
    pub fn word(self) -> &'static str {
        match self {
            Grant::Read => "read",
            Grant::Search => "search",
            Grant::Enrol => "enrol",
            Grant::Delete => "delete",
            Grant::Manage => "manage",
            Grant::Templates => "templates",
            Grant::Operate => "operate",
        }
    }

    /// What a caller without it may not do, to complete "may not".
    fn act(self) -> &'static str {
        match self {
            Grant::Read => "read",
            Grant::Search => "detect, compare or search",
            Grant::Enrol => "enrol or change faces and persons",
            Grant::Delete => "delete",
            Grant::Manage => {
                "make, change or delete face sets and access keys, end jobs, or see changes, settings and metrics"
            }
            Grant::Templates => "export or import templates",
            Grant::Operate => "see or change tenants and the whole store",
        }
    }
}

/// The set of things a caller may do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Grants(u8);

impl Grants {
    /// Everything that can be done with what a tenant has.
    pub const ALL: Grants = Grants(0b11_1111);
    /// What an operator's key may do, and it alone.
    pub const OPERATOR: Grants = Grants::of(&[Grant::Operate]);
    /// What a key may do unless its maker says otherwise: everything but [`Grant::Templates`].
    pub const USUAL: Grants = Grants::ALL.without(Grant::Templates);
    /// Nothing.
    pub const NONE: Grants = Grants(0);

    /// These grants.
    pub const fn of(grants: &[Grant]) -> Self {
        let mut all = Self::NONE;
        let mut idx = 0;
        while idx < grants.len() {
            all = all.with(grants[idx]);
            idx += 1;
        }
        all
    }

    /// These grants and one more.
    #[must_use]
    pub const fn with(self, grant: Grant) -> Self {
        Self(self.0 | 1 << grant as u8)
    }

    /// These grants but one.
    #[must_use]
    pub const fn without(self, grant: Grant) -> Self {
        Self(self.0 & !(1 << grant as u8))
    }

    /// Whether `grant` is among them.
    pub const fn contains(self, grant: Grant) -> bool {
        self.0 & 1 << grant as u8 != 0
    }

    /// Whether they are an operator's: what opens no face, whatever else a caller needs no grant for.
    pub const fn are_an_operators(self) -> bool {
        self.contains(Grant::Operate)
    }

    /// The grants among them, in the order of [`Grant::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Grant> {
        Grant::ALL.into_iter().filter(move |&grant| self.contains(grant))
    }

    /// Reads words between commas, as [`Grants`] are printed. `InvalidArgument` for an unknown word and for no word.
    pub fn parse(text: &str) -> Result<Self> {
        let mut grants = Self::NONE;
        for word in text.split(',').map(str::trim) {
            let grant = Grant::ALL.into_iter().find(|grant| grant.word() == word).ok_or_else(|| {
                let known = "expected some of read, search, enrol, delete, manage, templates, between commas";
                Error::invalid("grants", format!("grant `{}` is not known, {known}", crate::error::shortened(word)))
            })?;
            grants = grants.with(grant);
        }
        Ok(grants)
    }
}

/// Words between commas: `read,search`.
impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (idx, grant) in self.iter().enumerate() {
            if idx > 0 {
                f.write_str(",")?;
            }
            f.write_str(grant.word())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Grants({self})")
    }
}

/// The message to a caller without `grant`.
pub(super) fn not_granted(grant: Grant) -> String {
    format!("this access key may not {}: it lacks the grant `{}`", grant.act(), grant.word())
}

/// The face sets that a key may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaceSetScope {
    /// Every face set of the tenant, also those that are made later.
    All,
    /// These only. All others are for the key as if they did not exist, also one that gets the name of one of these
    /// after that was deleted.
    Only(Arc<[FaceSetId]>),
}

impl FaceSetScope {
    /// Whether the set is among them.
    pub fn contains(&self, face_set: FaceSetId) -> bool {
        match self {
            FaceSetScope::All => true,
            FaceSetScope::Only(face_sets) => face_sets.contains(&face_set),
        }
    }

    /// Whether it is every face set of the tenant.
    pub fn is_all(&self) -> bool {
        matches!(self, FaceSetScope::All)
    }
}
