//! Chooses the cheapest path of literals and matches by the current prices, like LZMA's "optimal" parser: forward
//! dynamic programming, in which each node keeps its best arrival.
use super::finder::{common_length, Finder, Match, MIN_HASHED};
use super::model::*;
use super::prices::{price, price0, price1, Prices, SHORT_DISTANCES};
use super::symbols::*;

/// Positions that are optimized together.
const SPAN: usize = 1024;
/// Two matches and a literal between them may start at the last of them.
pub const NODES: usize = SPAN + 2 * MAX_MATCH as usize + 2;
const INFINITE: u32 = 1 << 30;
/// Symbols between updates of the prices.
const UPDATE_INTERVAL: i32 = 256;

#[derive(Clone, Copy)]
pub struct Node {
    /// The last four distances at the node.
    pub reps: [u32; 4],
    pub cost: u32,
    /// Bytes since the node before.
    pub length: u32,
    /// The symbol that arrives.
    pub step: i32,
    pub state: u32,
    /// How many of the bytes other symbols have: a literal, or a match and a literal. Then the last one is a repeated match.
    pub led: u32,
    /// Of that match.
    pub led_step: i32,
}

/// Where symbols are tried.
#[derive(Clone, Copy)]
struct Place {
    node: usize,
    at: u32,
    /// Bytes up to the end.
    left: u32,
    position_state: u32,
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
                reached.led = 0;
                break;
            }
            let place = Place { node, at, left: end - at, position_state: coder.properties.position_state(at) };
            self.literal_step(place, coder, finder.text);
            let longest = self.rep_steps(place, coder, finder.text, &rep_lengths);
            self.match_steps(place, coder, finder, matches, longest);
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
        let Node { length, step, led, led_step, .. } = *self.node(node);
        let Node { mut state, mut reps, .. } = *self.node(node - length as usize);
        if led > 0 {
            if led > 1 {
                state = follow(state, &mut reps, led_step, led - 1);
            }
            state = after_literal(state);
        }
        let reached = self.node(node);
        reached.state = follow(state, &mut reps, step, length - led);
        reached.reps = reps;
    }

    #[inline(always)]
    unsafe fn reach(&mut self, node: usize, cost: u32, length: u32, step: i32) {
        let reached = self.node(node);
        if cost < reached.cost {
            reached.cost = cost;
            reached.length = length;
            reached.step = step;
            reached.led = 0;
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
    unsafe fn literal_step(&mut self, place: Place, coder: &SymbolCoder, text: *const u8) {
        let Place { node, at, position_state, .. } = place;
        let Node { state, cost, reps, .. } = *self.node(node);
        let (_, expected) = neighbours(text, at, reps[0]);
        let p = |index: usize| *coder.probabilities.get_unchecked(index);
        let literal = cost + literal_price(coder, text, at, state, reps[0]);
        self.extend(node + 1);
        self.reach(node + 1, literal, 1, LITERAL_STEP);
        if reps[0] >= at {
            return;
        }
        if *text.add(at as usize) == expected {
            let short = cost
                + price1(p(is_match(state, position_state)))
                + price1(p(IS_REP + state as usize))
                + price0(p(IS_REP0 + state as usize))
                + price0(p(is_rep0_long(state, position_state)));
            self.reach(node + 1, short, 1, 0);
        } else {
            self.resume(place, coder, text, Symbol { length: 0, step: LITERAL_STEP }, state, cost, reps[0]);
        }
    }

    /// Tries a literal behind a match, or behind none, and the match's distance again.
    ///
    /// `state` and `cost` are those behind the match.
    #[inline(always)]
    unsafe fn resume(
        &mut self,
        place: Place,
        coder: &SymbolCoder,
        text: *const u8,
        first: Symbol,
        state: u32,
        cost: u32,
        distance: u32,
    ) {
        let led = first.length + 1;
        if place.left < led + MIN_MATCH {
            return;
        }
        let literal = place.at + first.length;
        let here = text.add(literal as usize + 1);
        let max = MAX_MATCH.min(place.left - led);
        let length = common_length(here.sub(distance as usize + 1), here, max);
        if length < MIN_MATCH {
            return;
        }
        let p = |index: usize| *coder.probabilities.get_unchecked(index);
        let cost = cost + literal_price(coder, text, literal, state, distance);
        let state = after_literal(state);
        let position_state = coder.properties.position_state(literal + 1);
        let repeated = *self.prices.repeated.get_unchecked(position_state as usize).get_unchecked(length as usize);
        let cost = cost
            + price1(p(is_match(state, position_state)))
            + price1(p(IS_REP + state as usize))
            + price0(p(IS_REP0 + state as usize))
            + price1(p(is_rep0_long(state, position_state)))
            + repeated as u32;
        let node = place.node + (led + length) as usize;
        self.extend(node);
        let reached = self.node(node);
        if cost < reached.cost {
            reached.cost = cost;
            reached.length = led + length;
            reached.step = 0;
            reached.led = led;
            reached.led_step = first.step;
        }
    }

    /// Tries repeated matches. Returns the longest length.
    #[inline(always)]
    unsafe fn rep_steps(
        &mut self,
        place: Place,
        coder: &SymbolCoder,
        text: *const u8,
        rep_lengths: &[u32; 4],
    ) -> u32 {
        let Place { node, position_state, .. } = place;
        let Node { state, cost, reps, .. } = *self.node(node);
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
            let prices = self.prices.repeated.get_unchecked(position_state as usize).as_ptr();
            let price = |l: u32| *prices.add(l as usize) as u32;
            for l in MIN_MATCH..=length {
                self.reach(node + l as usize, cost + price(l), l, rep as i32);
            }
            let symbol = Symbol { length, step: rep as i32 };
            self.resume(place, coder, text, symbol, after_rep(state), cost + price(length), reps[rep]);
            longest = longest.max(length);
        }
        longest
    }

    /// Tries matches that are longer than `longest`.
    #[inline(always)]
    unsafe fn match_steps(
        &mut self,
        place: Place,
        coder: &SymbolCoder,
        finder: &Finder,
        matches: usize,
        longest: u32,
    ) {
        if matches == 0 || finder.matches.get_unchecked(matches - 1).length <= longest {
            return;
        }
        let Place { node, position_state, .. } = place;
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
                let cost = base + near as u32 + far;
                let symbol = Symbol { length, step: FIRST_MATCH_STEP + found.distance as i32 };
                self.reach(node + length as usize, cost, length, symbol.step);
                if length == found.length {
                    self.resume(place, coder, finder.text, symbol, after_match(state), cost, found.distance);
                }
                length += 1;
            }
        }
    }

    /// Puts the symbols of the path to `end` in order. Returns their number.
    unsafe fn path(&mut self, end: usize, symbols: *mut Symbol) -> usize {
        let mut count = 0;
        let mut node = end;
        while node > 0 {
            let Node { length, led, .. } = *self.node(node);
            count += 1 + led.min(2) as usize;
            node -= length as usize;
        }
        let mut i = count;
        node = end;
        while node > 0 {
            let Node { length, step, led, led_step, .. } = *self.node(node);
            i -= 1;
            *symbols.add(i) = Symbol { length: length - led, step };
            if led > 0 {
                i -= 1;
                *symbols.add(i) = Symbol { length: 1, step: LITERAL_STEP };
            }
            if led > 1 {
                i -= 1;
                *symbols.add(i) = Symbol { length: led - 1, step: led_step };
            }
            node -= length as usize;
        }
        count
    }
}

/// Moves the distances past a symbol. Returns the state behind it.
#[inline(always)]
fn follow(state: u32, reps: &mut [u32; 4], step: i32, length: u32) -> u32 {
    if step == LITERAL_STEP {
        return after_literal(state);
    }
    if step < FIRST_MATCH_STEP {
        to_front(reps, step as usize);
        return if length == 1 { after_short_rep(state) } else { after_rep(state) };
    }
    *reps = [(step - FIRST_MATCH_STEP) as u32, reps[0], reps[1], reps[2]];
    after_match(state)
}

/// Of the literal at `at`, with the bit that says that no match is there.
#[inline(always)]
unsafe fn literal_price(coder: &SymbolCoder, text: *const u8, at: u32, state: u32, distance: u32) -> u32 {
    let (previous, expected) = neighbours(text, at, distance);
    let byte = *text.add(at as usize);
    let p = |index: usize| *coder.probabilities.get_unchecked(index);
    let base = coder.properties.literal_base(at, previous);
    let mut sum = price0(p(is_match(state, coder.properties.position_state(at))));
    let mut offset = if state < LITERAL_STATES { 0 } else { 0x100 };
    let mut expected_bits = expected as u32;
    let mut symbol = 1;
    for i in (0..8).rev() {
        expected_bits <<= 1;
        let bit = (byte as u32 >> i) & 1;
        let predicted = offset & expected_bits;
        sum += price(p(base + (offset + predicted + symbol) as usize), bit);
        offset &= !(predicted ^ (bit << 8));
        symbol = (symbol << 1) | bit;
    }
    sum
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
