use store::{GrantFilter, Store};

use crate::desk::{World, draft, who};

async fn rows(store: &dyn Store, what: &str) -> Vec<store::GrantRow> {
    let filter = GrantFilter { upstream: Some(what.to_owned()), ..GrantFilter::default() };
    store.grants(&filter, None, 1_000).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_somebody_changed_or_took_out_is_found() {
    let world = World::under("solo");
    for value in ["b", "c", "d"] {
        let text = world.text();
        let old = text.lines().next().unwrap();
        let change = world.with(old, &format!("upstream:crm = {value}"));
        world.office.propose(&who("owner"), draft(value), &change).await.unwrap();
    }
    let entries = rows(&*world.store, "@governance").await;
    assert!(entries.len() >= 4, "{entries:?}");
    let solo = governance::preset("solo").unwrap().text;
    assert_eq!(world.other(solo).list(None, 10).await.unwrap().len(), 3);
    let second = &entries[1];
    let forged = String::from_utf8_lossy(&second.data).replace("owner", "eve00");
    let mut tx = world.store.begin().await.unwrap();
    assert!(tx.grant_put(&store::GrantRow { data: forged.into(), ..second.clone() }).await.unwrap());
    tx.commit().await.unwrap();
    let said = world.other(solo).list(None, 10).await.unwrap_err().to_string();
    assert!(said.contains("does not follow the one before"), "{said}");
    let mut tx = world.store.begin().await.unwrap();
    tx.grant_remove(&second.name).await.unwrap();
    tx.commit().await.unwrap();
    assert!(world.other(solo).list(None, 10).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_change_larger_than_a_row_is_kept_in_parts_and_is_the_one_that_was_voted_on() {
    let world = World::under("solo");
    let long = "x".repeat(200_000);
    let change = world.with("= a", &format!("= {long}"));
    let id = world.office.propose(&who("owner"), draft("long"), &change).await.unwrap();
    assert!(rows(&*world.store, "@governancetext").await.len() > 3);
    let (_, hash) = world.office.standing(id).await.unwrap();
    let content = world.office.content(&hash).await.unwrap();
    assert_eq!(content.records["upstream:crm"].len(), long.len());
    assert!(world.text().contains(&long));
    let part = &rows(&*world.store, "@governancetext").await[0];
    let mut tx = world.store.begin().await.unwrap();
    let forged = String::from_utf8_lossy(&part.data).replace("xxxx", "yyyy");
    assert!(tx.grant_put(&store::GrantRow { data: forged.into(), ..part.clone() }).await.unwrap());
    tx.commit().await.unwrap();
    assert!(world.office.content(&hash).await.unwrap_err().to_string().contains("is not the one"));
}

#[tokio::test(start_paused = true)]
async fn the_log_moves_with_its_store() {
    let world = World::under("solo");
    let id = world.office.propose(&who("owner"), draft("b"), &world.with("= a", "= b")).await.unwrap();
    let to = store::Memory::new();
    store::copy(&*world.store, &to).await.unwrap();
    assert_eq!(rows(&to, "@governance").await, rows(&*world.store, "@governance").await);
    let solo = governance::preset("solo").unwrap().text;
    let moved = World { store: std::sync::Arc::new(to), ..World::under("solo") };
    assert_eq!(moved.other(solo).show(id).await.unwrap(), world.office.show(id).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_of_proposals_is_nobodys_grant() {
    let world = World::under("solo");
    world.office.propose(&who("owner"), draft("b"), &world.with("= a", "= b")).await.unwrap();
    let users = store::UserOffice::new(std::sync::Arc::clone(&world.store), world.clock.clone());
    for row in rows(&*world.store, "@governance").await {
        assert!(users.grant_remove(&row.name).await.unwrap().is_none(), "{}", row.name);
    }
}
