use super::*;

const GRANTS: [Grant; 3] = [Grant::Read, Grant::Write, Grant::Search];

#[test]
fn each_grant_stands_alone() {
    for given in GRANTS {
        let caller = Caller {
            tenant: TenantId::from_bits(1),
            grants: Grants::NONE.with(given),
            key: None,
            request_id: "r".to_owned(),
        };
        for wanted in GRANTS {
            let answer = caller.require(wanted).map_err(|err| err.kind());
            assert_eq!(answer, if wanted == given { Ok(()) } else { Err(Kind::Forbidden) });
        }
    }
}

#[test]
fn all_is_every_grant_and_none_is_no_grant() {
    assert!(GRANTS.iter().all(|&grant| Grants::ALL.contains(grant)));
    assert!(!GRANTS.iter().any(|&grant| Grants::NONE.contains(grant)));
    assert_eq!(GRANTS.iter().fold(Grants::NONE, |grants, &grant| grants.with(grant)), Grants::ALL);
}
