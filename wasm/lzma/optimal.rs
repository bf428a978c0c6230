//! Chooses the cheapest path of literals and matches by the current prices, like LZMA's "optimal" parser: forward
//! dynamic programming, in which each node keeps its best arrival.
use super::finder::{common_length, Finder, Match, MIN_HASHED};
use super::model::*;
use super::prices::{price, price0, price1, Prices, SHORT_DISTANCES};
use super::symbols::*;

/// Positions that are optimized together.
const SPAN: usize = 1024;
pub const NODES: usize = SPAN + MAX_MATCH as usize + 1;
const INFINITE: u32 = 1 << 30;
/// Symbols between updates of the prices.
const UPDATE_INTERVAL: i32 = 256;

#[derive(Clone, Copy)]
pub struct Node {
    /// The last four distances at the node.
    pub reps: [u32; 4],
    pub cost: u32,
    /// The symbol that arrives.
    pub length: u32,
    pub step: i32,
    pub state: u32,
}

pub struct OptimalParser {
    pub nodes: [Node; NODES],
    /// The last node with a cost.
    pub last: usize,
    pub prices: Prices,
    pub symbols_until_update: i32,
}

impl OptimalParser {
    /// Chooses symbols from `start` on, for at least one byte and at most to `end`. Returns their number.
    #[inline(never)]
    pub unsafe fn parse(
        &mut self,
        finder: &mut Finder,
        coder: &SymbolCoder,
        nice_length: u32,
        start: u32,
        end: u32,
        symbols: *mut Symbol,
    ) -> usize {
        if self.symbols_until_update <= 0 {
            self.prices.update(&coder.probabilities, coder.properties.pb);
            self.symbols_until_update = UPDATE_INTERVAL;
        }
        self.nodes[0].cost = 0;
        self.nodes[0].state = coder.state;
        self.nodes[0].reps = coder.reps;
        self.last = 0;
        let mut node = 0;
        loop {
            if node > 0 {
                self.arrive(node);
                if node == self.last || node >= SPAN {
                    break;
                }
            }
            let at = start + node as u32;
            let max = MAX_MATCH.min(end - at);
            let matches = if max >= MIN_HASHED { finder.find(at, max) } else { 0 };
            let rep_lengths = self.rep_lengths(node, finder.text, at, max);
            // a match of at least the nice length is taken at once
            if let Some(taken) = nice_symbol(finder, nice_length, &rep_lengths, matches) {
                node += taken.length as usize;
                let reached = self.node(node);
                reached.length = taken.length;
                reached.step = taken.step;
                break;
            }
            let position_state = coder.properties.position_state(at);
            self.literal_step(node, coder, finder.text, at, position_state);
            let longest = self.rep_steps(node, coder, position_state, &rep_lengths);
            self.match_steps(node, coder, position_state, finder, matches, longest);
            node += 1;
        }
        let count = self.path(node, symbols);
        self.symbols_until_update -= count as i32;
        count
    }

    #[inline(always)]
    unsafe fn node(&mut self, node: usize) -> &mut Node {
        self.nodes.get_unchecked_mut(node)
    }

    #[inline(always)]
    unsafe fn rep_lengths(&mut self, node: usize, text: *const u8, at: u32, max: u32) -> [u32; 4] {
        let reps = self.node(node).reps;
        let here = text.add(at as usize);
        reps.map(|rep| if rep < at { common_length(here.sub(rep as usize + 1), here, max) } else { 0 })
    }

    /// Computes state and distances of a node from its best arrival.
    #[inline(always)]
    unsafe fn arrive(&mut self, node: usize) {
        let Node { length, step, .. } = *self.node(node);
        let Node { state, mut reps, .. } = *self.node(node - length as usize);
        let reached = self.node(node);
        if step == LITERAL_STEP {
            reached.state = after_literal(state);
        } else if step < FIRST_MATCH_STEP {
            reached.state = if length == 1 { after_short_rep(state) } else { after_rep(state) };
            to_front(&mut reps, step as usize);
        } else {
            reached.state = after_match(state);
            reps = [(step - FIRST_MATCH_STEP) as u32, reps[0], reps[1], reps[2]];
        }
        reached.reps = reps;
    }

    #[inline(always)]
    unsafe fn reach(&mut self, node: usize, cost: u32, length: u32, step: i32) {
        let reached = self.node(node);
        if cost < reached.cost {
            reached.cost = cost;
            reached.length = length;
            reached.step = step;
        }
    }

    /// Initializes the costs of nodes up to `node`.
    #[inline(always)]
    unsafe fn extend(&mut self, node: usize) {
        while self.last < node {
            self.last += 1;
            let last = self.last;
            self.node(last).cost = INFINITE;
        }
    }

    #[inline(always)]
    unsafe fn literal_step(
        &mut self,
        node: usize,
        coder: &SymbolCoder,
        text: *const u8,
        at: u32,
        position_state: u32,
    ) {
        let Node { state, cost, reps, .. } = *self.node(node);
        let (previous, expected) = neighbours(text, at, reps[0]);
        let byte = *text.add(at as usize);
        let p = |index: usize| *coder.probabilities.get_unchecked(index);
        let matched = p(is_match(state, position_state));
        let base = coder.properties.literal_base(at, previous);
        let mut literal = cost + price0(matched);
        let mut offset = if state < LITERAL_STATES { 0 } else { 0x100 };
        let mut expected_bits = expected as u32;
        let mut symbol = 1;
        for i in (0..8).rev() {
            expected_bits <<= 1;
            let bit = (byte as u32 >> i) & 1;
            let predicted = offset & expected_bits;
            literal += price(p(base + (offset + predicted + symbol) as usize), bit);
            offset &= !(predicted ^ (bit << 8));
            symbol = (symbol << 1) | bit;
        }
        self.extend(node + 1);
        self.reach(node + 1, literal, 1, LITERAL_STEP);
        if byte == expected && reps[0] < at {
            let short = cost
                + price1(matched)
                + price1(p(IS_REP + state as usize))
                + price0(p(IS_REP0 + state as usize))
                + price0(p(is_rep0_long(state, position_state)));
            self.reach(node + 1, short, 1, 0);
        }
    }

    /// Tries repeated matches. Returns the longest length.
    #[inline(always)]
    unsafe fn rep_steps(
        &mut self,
        node: usize,
        coder: &SymbolCoder,
        position_state: u32,
        rep_lengths: &[u32; 4],
    ) -> u32 {
        let Node { state, cost, .. } = *self.node(node);
        let p = |index: usize| *coder.probabilities.get_unchecked(index);
        let rep0 = p(IS_REP0 + state as usize);
        let base = cost + price1(p(is_match(state, position_state))) + price1(p(IS_REP + state as usize));
        let mut longest = 1;
        for (rep, &length) in rep_lengths.iter().enumerate() {
            if length < MIN_MATCH {
                continue;
            }
            let cost = base
                + if rep == 0 {
                    price0(rep0) + price1(p(is_rep0_long(state, position_state)))
                } else {
                    let p1 = p(IS_REP1 + state as usize);
                    let p2 = p(IS_REP2 + state as usize);
                    price1(rep0) + if rep == 1 { price0(p1) } else { price1(p1) + price(p2, rep as u32 - 2) }
                };
            self.extend(node + length as usize);
            for l in MIN_MATCH..=length {
                let price = *self.prices.repeated.get_unchecked(position_state as usize).get_unchecked(l as usize);
                self.reach(node + l as usize, cost + price as u32, l, rep as i32);
            }
            longest = longest.max(length);
        }
        longest
    }

    /// Tries matches that are longer than `longest`.
    #[inline(always)]
    unsafe fn match_steps(
        &mut self,
        node: usize,
        coder: &SymbolCoder,
        position_state: u32,
        finder: &Finder,
        matches: usize,
        longest: u32,
    ) {
        if matches == 0 || finder.matches.get_unchecked(matches - 1).length <= longest {
            return;
        }
        let Node { state, cost, .. } = *self.node(node);
        let p = |index: usize| *coder.probabilities.get_unchecked(index);
        let base = cost + price1(p(is_match(state, position_state))) + price0(p(IS_REP + state as usize));
        self.extend(node + finder.matches.get_unchecked(matches - 1).length as usize);
        let mut length = longest + 1;
        for i in 0..matches {
            let found = *finder.matches.get_unchecked(i);
            let distance = found.distance as usize;
            let slot = slot_of(found.distance) as usize;
            while length <= found.length {
                let prices = &self.prices;
                let length_state = length_state(length) as usize;
                let far = if distance < SHORT_DISTANCES {
                    *prices.short.get_unchecked(length_state).get_unchecked(distance) as u32
                } else {
                    *prices.slot.get_unchecked(length_state).get_unchecked(slot) as u32
                        + *prices.align.get_unchecked(distance & 15) as u32
                };
                let near = *prices.matched.get_unchecked(position_state as usize).get_unchecked(length as usize);
                self.reach(
                    node + length as usize,
                    base + near as u32 + far,
                    length,
                    FIRST_MATCH_STEP + found.distance as i32,
                );
                length += 1;
            }
        }
    }

    /// Puts the symbols of the path to `end` in order. Returns their number.
    unsafe fn path(&mut self, end: usize, symbols: *mut Symbol) -> usize {
        let mut count = 0;
        let mut node = end;
        while node > 0 {
            count += 1;
            node -= self.node(node).length as usize;
        }
        let mut i = count;
        node = end;
        while node > 0 {
            i -= 1;
            let Node { length, step, .. } = *self.node(node);
            *symbols.add(i) = Symbol { length, step };
            node -= length as usize;
        }
        count
    }
}

#[inline(always)]
unsafe fn nice_symbol(finder: &Finder, nice_length: u32, rep_lengths: &[u32; 4], matches: usize) -> Option<Symbol> {
    for (rep, &length) in rep_lengths.iter().enumerate() {
        if length >= nice_length {
            return Some(Symbol { length, step: rep as i32 });
        }
    }
    if matches == 0 {
        return None;
    }
    let Match { length, distance } = *finder.matches.get_unchecked(matches - 1);
    (length >= nice_length).then_some(Symbol { length, step: FIRST_MATCH_STEP + distance as i32 })
}
