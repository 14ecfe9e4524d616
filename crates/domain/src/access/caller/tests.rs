use super::*;

fn caller(grants: Grants) -> Caller {
    Caller { grants, ..Caller::server(TenantId::from_bits(1), "r") }
}

#[test]
fn each_grant_stands_alone() {
    for given in Grant::ALL {
        for wanted in Grant::ALL {
            let answer = caller(Grants::of(&[given])).require(wanted).map_err(|err| err.kind());
            assert_eq!(answer, if wanted == given { Ok(()) } else { Err(Kind::Forbidden) });
            let answer = caller(Grants::of(&Grant::ALL).without(given)).require(wanted).map_err(|err| err.kind());
            assert_eq!(answer, if wanted == given { Err(Kind::Forbidden) } else { Ok(()) });
        }
    }
}

#[test]
fn all_is_every_grant_of_a_tenant_and_none_is_no_grant() {
    let is_a_tenants = |grant: &Grant| *grant != Grant::Operate;
    assert!(Grant::ALL.iter().filter(|grant| is_a_tenants(grant)).all(|&grant| Grants::ALL.contains(grant)));
    assert!(!Grant::ALL.iter().any(|&grant| Grants::NONE.contains(grant)));
    assert_eq!(Grants::of(&Grant::ALL).without(Grant::Operate), Grants::ALL);
    assert!(!Grants::ALL.are_an_operators() && Grants::OPERATOR.are_an_operators());
    // It is none that concerns what a tenant has.
    assert_eq!(caller(Grants::OPERATOR).require_any().unwrap_err().kind(), Kind::Forbidden);
}

#[test]
fn grants_are_read_as_they_are_written() {
    for bits in 1..128_u8 {
        let some: Vec<Grant> = Grant::ALL.into_iter().filter(|&grant| bits & 1 << grant as u8 != 0).collect();
        let grants = Grants::of(&some);
        assert_eq!(Grants::parse(&grants.to_string()).unwrap(), grants);
    }
    assert_eq!(Grants::parse(" search , read ").unwrap().to_string(), "read,search");
    for bad in ["", "read,", "write", "Read", "read search"] {
        assert_eq!(Grants::parse(bad).unwrap_err().kind(), Kind::InvalidArgument, "{bad:?}");
    }
}

#[test]
fn all_of_several_grants_are_needed() {
    let needs = Grants::of(&[Grant::Delete, Grant::Manage]);
    let refusal = |grants: &[Grant]| caller(Grants::of(grants)).require_all(needs).unwrap_err().message().to_owned();
    assert!(caller(Grants::ALL).require_all(needs).is_ok());
    assert_eq!(refusal(&[Grant::Manage]), "this access key may not delete: it lacks the grant `delete`");
    assert_eq!(
        refusal(&[Grant::Delete]),
        "this access key may not make, change or delete face sets and access keys, end jobs, or see changes, settings and \
         metrics: it lacks the grant `manage`"
    );
}

#[test]
fn a_scope_of_no_set_sees_nothing() {
    let set = |number: u64| FaceSetId::new(number).unwrap();
    let scoped = |sets: &[FaceSetId]| Caller { face_sets: FaceSetScope::Only(sets.into()), ..caller(Grants::ALL) };
    assert!(caller(Grants::NONE).sees(set(1)) && caller(Grants::NONE).require_every_face_set("x").is_ok());
    assert!(scoped(&[set(1)]).sees(set(1)) && !scoped(&[set(1)]).sees(set(2)) && !scoped(&[]).sees(set(1)));
    let refused = scoped(&[set(1)]).require_every_face_set("make face sets").unwrap_err();
    assert_eq!(refused.kind(), Kind::Forbidden);
}

#[test]
fn the_stricter_limit_of_each_kind_holds() {
    let vendor = Limits { face_sets_max: Some(10), faces_max: Some(5), ..Limits::NONE };
    let tenant = Limits { face_sets_max: Some(3), persons_max: Some(7), ..Limits::NONE };
    let caller = Caller { vendor_limits: vendor, tenant_limits: tenant, ..caller(Grants::ALL) };
    let expected = Limits { face_sets_max: Some(3), faces_max: Some(5), persons_max: Some(7), ..Limits::NONE };
    assert_eq!(caller.limits(), expected);
}
