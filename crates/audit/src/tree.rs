//! The Merkle tree over the lines of a log (RFC 6962), in tiles of 256 hashes (C2SP `tlog-tiles`).

use std::collections::BTreeMap;

/// A hash of the tree.
pub type Hash = [u8; 32];

/// How many hashes a tile has.
pub const TILE_WIDTH: u64 = 256;
const TILE_HEIGHT: u32 = 8;

/// The hash of an entry.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    seal::sha256(&[&[0], entry].concat())
}

/// The hash of two subtrees.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    seal::sha256(&bytes)
}

/// Which tile: its level, and its place in the level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// The level; the tiles of level 0 hold hashes of entries.
    pub level: u32,
    /// The place.
    pub index: u64,
}

impl TileId {
    /// How many hashes it has in a tree of this size.
    #[must_use]
    pub fn width(self, size: u64) -> u64 {
        let nodes = size.checked_shr(TILE_HEIGHT * self.level).unwrap_or(0);
        nodes.saturating_sub(self.index.saturating_mul(TILE_WIDTH)).min(TILE_WIDTH)
    }

    /// All tiles of a tree of this size.
    pub fn all(size: u64) -> impl Iterator<Item = Self> {
        let levels = (0..TILE_HEIGHT).take_while(move |level| size >> (TILE_HEIGHT * level) > 0);
        levels.flat_map(move |level| {
            let nodes = size >> (TILE_HEIGHT * level);
            (0..nodes.div_ceil(TILE_WIDTH)).map(move |index| Self { level, index })
        })
    }
}

/// The right edge of a tree: what is needed to add to it, and its root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// By level, the hashes of the tile that is not full yet.
    tiles: Vec<Vec<Hash>>,
    /// The roots of the perfect subtrees that it is made of, the largest first: a root is asked for with each
    /// commit, and made of these with a few hashes.
    peaks: Vec<Hash>,
}

impl Edge {
    /// How many entries there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The tiles that the edge of a tree of this size is read from.
    pub fn tiles_of(size: u64) -> impl Iterator<Item = TileId> {
        (0..TILE_HEIGHT).map(move |level| (level, size >> (TILE_HEIGHT * level))).filter_map(
            |(level, nodes)| (nodes % TILE_WIDTH > 0).then_some(TileId { level, index: nodes / TILE_WIDTH }),
        )
    }

    /// Reads it from those tiles. `None`: one of them is missing or too short.
    #[must_use]
    pub fn read(size: u64, tiles: &Tiles) -> Option<Self> {
        let mut edge = Self { size, tiles: Vec::new(), peaks: Vec::new() };
        for tile in Self::tiles_of(size) {
            let hashes = tiles.0.get(&tile)?;
            let width = usize::try_from(tile.width(size)).ok()?;
            edge.tiles.resize(edge.tiles.len().max(tile.level as usize + 1), Vec::new());
            edge.tiles[tile.level as usize] = hashes.get(..width)?.to_vec();
        }
        // Smaller subtrees stand behind larger ones, within a tile and from level to level.
        for tile in edge.tiles.iter().rev() {
            let mut rest = tile.as_slice();
            while !rest.is_empty() {
                let (first, after) = rest.split_at(1 << rest.len().ilog2());
                edge.peaks.push(perfect(first));
                rest = after;
            }
        }
        Some(edge)
    }

    /// Adds an entry by its hash. What is full goes to `full`.
    pub fn push(&mut self, leaf: Hash, full: &mut impl FnMut(TileId, &[Hash])) {
        let mut hash = leaf;
        // The subtrees that this entry makes perfect, as many as the size before ends with ones.
        for height in 0..=self.size.trailing_ones() {
            if height > 0 {
                let left = self.peaks.pop().unwrap_or_default();
                hash = node_hash(&left, &hash);
            }
            if height.is_multiple_of(TILE_HEIGHT) {
                self.put(height / TILE_HEIGHT, hash, full);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// Puts a hash in the tile of its level that is not full.
    fn put(&mut self, level: u32, hash: Hash, full: &mut impl FnMut(TileId, &[Hash])) {
        let at = level as usize;
        if self.tiles.len() <= at {
            self.tiles.resize(at + 1, Vec::new());
        }
        self.tiles[at].push(hash);
        if self.tiles[at].len() == TILE_WIDTH as usize {
            let tile = std::mem::take(&mut self.tiles[at]);
            full(TileId { level, index: self.size >> (TILE_HEIGHT * (level + 1)) }, &tile);
        }
    }

    /// The tiles that are not full.
    pub fn partial(&self) -> impl Iterator<Item = (TileId, &[Hash])> {
        Self::tiles_of(self.size).map(|tile| (tile, self.tiles[tile.level as usize].as_slice()))
    }

    /// The root; of a tree without entries, the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev().copied();
        let Some(last) = peaks.next() else { return seal::sha256(b"") };
        peaks.fold(last, |right, left| node_hash(&left, &right))
    }
}

/// The root of as many hashes as a power of two.
fn perfect(hashes: &[Hash]) -> Hash {
    if let [hash] = hashes {
        return *hash;
    }
    let mut level: Vec<Hash> = hashes.chunks(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    level[0]
}

/// Tiles that were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tiles(pub BTreeMap<TileId, Vec<Hash>>);

impl Tiles {
    /// Takes the bytes of one. `false` where they are no hashes.
    pub fn put(&mut self, tile: TileId, bytes: &[u8]) -> bool {
        let Some(hashes) = hashes(bytes) else { return false };
        self.0.insert(tile, hashes);
        true
    }

    /// The node `index` of the perfect subtrees of 2^height entries.
    fn node(&self, height: u32, index: u64) -> Result<Hash, TileId> {
        let (level, inside) = (height / TILE_HEIGHT, height % TILE_HEIGHT);
        let first = index << inside;
        let tile = TileId { level, index: first / TILE_WIDTH };
        let from = usize::try_from(first % TILE_WIDTH).unwrap_or(usize::MAX);
        let hashes = self.0.get(&tile).and_then(|hashes| hashes.get(from..from + (1 << inside)));
        hashes.map(perfect).ok_or(tile)
    }

    /// The root of the entries from `from` to `to`, where `from` is a multiple of a power of two that is no
    /// less than their number.
    fn root(&self, from: u64, to: u64) -> Result<Hash, TileId> {
        let number = to - from;
        if number.is_power_of_two() {
            let height = number.trailing_zeros();
            return self.node(height, from >> height);
        }
        let middle = from + split(number);
        Ok(node_hash(&self.root(from, middle)?, &self.root(middle, to)?))
    }

    /// The root of a tree of this size.
    ///
    /// # Errors
    /// The tile that is missing.
    pub fn root_of(&self, size: u64) -> Result<Hash, TileId> {
        if size == 0 { Ok(seal::sha256(b"")) } else { self.root(0, size) }
    }

    /// The proof that an entry is in a tree of this size (RFC 6962, section 2.1.1), the lowest hash first.
    ///
    /// # Errors
    /// The tile that is missing.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, TileId> {
        let (mut from, mut to) = (0, size);
        let mut proof = Vec::new();
        while to - from > 1 {
            let middle = from + split(to - from);
            if index < middle {
                proof.push(self.root(middle, to)?);
                to = middle;
            } else {
                proof.push(self.root(from, middle)?);
                from = middle;
            }
        }
        proof.reverse();
        Ok(proof)
    }

    /// The proof that a tree of the size `old` is the beginning of one of the size `size` (RFC 6962, section
    /// 2.1.2), the lowest hash first.
    ///
    /// # Errors
    /// The tile that is missing.
    pub fn consistency(&self, old: u64, size: u64) -> Result<Vec<Hash>, TileId> {
        let (mut from, mut to) = (0, size);
        let mut proof = Vec::new();
        // Of the old root itself, whoever asks knows.
        let mut known = true;
        while old < to && old > 0 {
            let middle = from + split(to - from);
            if old <= middle {
                proof.push(self.root(middle, to)?);
                to = middle;
            } else {
                proof.push(self.root(from, middle)?);
                from = middle;
                known = false;
            }
        }
        if !known {
            proof.push(self.root(from, to)?);
        }
        proof.reverse();
        Ok(proof)
    }
}

/// The largest power of two below.
fn split(number: u64) -> u64 {
    1 << (63 - (number - 1).leading_zeros())
}

/// The bytes of a tile.
#[must_use]
pub fn tile_bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.concat()
}

/// The hashes of a tile. `None`: it is none.
#[must_use]
pub fn hashes(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    (rest.is_empty() && hashes.len() <= TILE_WIDTH as usize).then(|| hashes.to_vec())
}

/// Whether a proof shows that an entry of this hash is in a tree of this size and root.
#[must_use]
pub fn is_included(proof: &[Hash], index: u64, size: u64, leaf: &Hash, root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether a proof shows that a tree of the size `old` and its root is the beginning of the other.
#[must_use]
pub fn is_consistent(proof: &[Hash], old: u64, old_root: &Hash, size: u64, root: &Hash) -> bool {
    if old > size {
        return false;
    }
    if old == size || old == 0 {
        return proof.is_empty() && (old == 0 || old_root == root);
    }
    let mut rest = proof.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { rest.next() };
    let Some(first) = first else { return false };
    let (mut node, mut last) = (old - 1, size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut before, mut now) = (*first, *first);
    for hash in rest {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            before = node_hash(hash, &before);
            now = node_hash(hash, &now);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            now = node_hash(&now, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && before == *old_root && now == *root
}
