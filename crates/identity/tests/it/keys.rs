//! API keys.

use std::time::Duration;

use identity::*;
use model::Timestamp;
use seal::SystemRng;

use crate::forge::*;

fn kept(new: &NewKey, endpoints: &[&str]) -> ApiKey {
    ApiKey {
        id: new.id.clone(),
        hash: new.hash,
        tenant: "acme".to_owned(),
        groups: vec!["robots".to_owned()],
        scopes: vec!["crm:read".to_owned()],
        endpoints: endpoints.iter().map(|name| (*name).to_owned()).collect(),
        not_before: None,
        expires: Some(Timestamp((NOW + 100) * 1_000)),
    }
}

#[tokio::test]
async fn a_key_is_a_workload_until_it_expires() {
    let new = NewKey::generate(&SystemRng);
    let world = world_with(|wanted| wanted.keys = ApiKeys::new([kept(&new, &["crm"])]));
    let caller = world.bearer(&new.text).await.unwrap();
    assert_eq!(caller.principal.to_string(), format!("acme/keys:{}", new.id));
    assert_eq!((caller.kind, caller.groups.join(" ")), (Kind::Workload, "robots".to_owned()));
    assert!(!format!("{caller:?}").contains(&new.text[15..30]));
    world.clock.advance(Duration::from_secs(100));
    assert_eq!(world.refused(&new.text).await.0, 401);
}

#[tokio::test]
async fn a_key_that_is_mistyped_unknown_or_for_another_endpoint_is_refused() {
    let (new, other) = (NewKey::generate(&SystemRng), NewKey::generate(&SystemRng));
    let mut later = kept(&NewKey::generate(&SystemRng), &["crm"]);
    later.not_before = Some(Timestamp((NOW + 1) * 1_000));
    let far = NewKey::generate(&SystemRng);
    let keys = [kept(&new, &["crm"]), kept(&far, &["hr"]), later];
    let world = world_with(|wanted| wanted.keys = ApiKeys::new(keys));
    let mut typo = new.text.clone().into_bytes();
    typo[20] = if typo[20] == b'a' { b'b' } else { b'a' };
    // One's name with another's secret.
    let swapped = other.text.replace(&other.id, &new.id);
    for text in [
        String::from_utf8(typo).unwrap(),
        other.text,
        swapped,
        far.text,
        "tgk_".to_owned(),
        "tgk_a_b".to_owned(),
    ] {
        let (status, reason, said) = world.refused(&text).await;
        assert_eq!((status, reason), (401, Reason::BadToken), "{text}");
        assert!(!said.contains(&text), "{said}");
    }
    let none = world_with(|wanted| {
        wanted.keys = ApiKeys::new([kept(&new, &["crm"])]);
        wanted.rules.allow = vec![Allowed::Issuer("corp".to_owned())];
    });
    assert_eq!(none.refused(&new.text).await.0, 401);
    let nowhere = world_with(|wanted| wanted.keys = ApiKeys::new([kept(&new, &[])]));
    assert_eq!(nowhere.refused(&new.text).await.0, 401);
}
