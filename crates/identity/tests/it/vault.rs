//! A vault that ends with its test.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use identity::*;
use model::Timestamp;

type Rows = HashMap<(String, String, String), Kept>;

/// Keeps what it is given, by whose it is, what for and its name.
#[derive(Default)]
pub struct Chest {
    pub rows: Mutex<Rows>,
    turns: Mutex<HashMap<String, String>>,
}

fn key(place: Place<'_>) -> (String, String, String) {
    (place.principal.to_string(), place.upstream.to_owned(), place.name.to_owned())
}

impl Chest {
    /// Takes back all that somebody has granted.
    pub fn revoke(&self, who: &str) {
        self.rows.lock().unwrap().retain(|(principal, ..), _| principal != who);
    }

    /// All turns are over, as after a while.
    pub fn turns_end(&self) {
        self.turns.lock().unwrap().clear();
    }

    /// All that is kept, as text.
    pub fn texts(&self) -> Vec<String> {
        let rows = self.rows.lock().unwrap();
        rows.values().map(|kept| String::from_utf8(kept.data.clone()).unwrap()).collect()
    }
}

#[async_trait]
impl Vault for Chest {
    async fn get(&self, place: Place<'_>) -> Result<Option<Kept>, VaultError> {
        Ok(self.rows.lock().unwrap().get(&key(place)).cloned())
    }

    async fn put(
        &self,
        place: Place<'_>,
        version: u64,
        data: &[u8],
        _time: Duration,
    ) -> Result<bool, VaultError> {
        let mut rows = self.rows.lock().unwrap();
        let found = rows.get(&key(place)).map_or(0, |kept| kept.version);
        if found == version {
            rows.insert(key(place), Kept { version: version + 1, data: data.to_vec() });
        }
        Ok(found == version)
    }

    async fn remove(&self, place: Place<'_>) -> Result<(), VaultError> {
        self.rows.lock().unwrap().remove(&key(place));
        Ok(())
    }

    async fn once(&self, _name: &str, _until: Timestamp) -> Result<bool, VaultError> {
        Ok(true)
    }

    async fn turn(&self, name: &str, holder: &str, _time: Duration) -> Result<bool, VaultError> {
        let mut turns = self.turns.lock().unwrap();
        Ok(turns.entry(name.to_owned()).or_insert_with(|| holder.to_owned()) == holder)
    }

    async fn turn_over(&self, name: &str, _holder: &str) {
        self.turns.lock().unwrap().remove(name);
    }
}
