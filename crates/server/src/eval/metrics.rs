//! The arithmetic of verification: accuracy by k folds, ROC, EER, TAR at FAR. Pure functions on scored pairs.
//!
//! A pair is *accepted* at a threshold when its similarity is at least the threshold. FAR is the share of pairs of two
//! people that are accepted, TAR the share of pairs of one person that are; FRR = 1 - TAR.

#[cfg(test)]
mod tests;

/// A pair with its similarity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ScoredPair {
    /// Which part of the list it belongs to.
    pub(crate) fold: u32,
    /// Cosine; `None` when an image shows no face, which is an error whatever the threshold is.
    pub(crate) similarity: Option<f32>,
    /// Whether it is one person.
    pub(crate) same: bool,
}

/// Figures of some pairs: of one fold, or of all.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figures {
    /// How many pairs.
    pub(crate) n_pairs: usize,
    /// Those of two people among them.
    pub(crate) n_impostors: usize,
    /// Share of pairs judged rightly.
    pub(crate) accuracy: f64,
    /// The threshold of that judgement.
    pub(crate) threshold: f64,
    /// Error rate where FAR equals FRR.
    pub(crate) eer: f64,
    /// TAR at FAR 1e-2 and 1e-3.
    pub(crate) tar_at_far: [f64; 2],
}

/// The false-accept rates of [`Figures::tar_at_far`].
pub(crate) const FARS: [f64; 2] = [1e-2, 1e-3];

/// Figures of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Evaluation {
    /// Over all: accuracy and threshold are means over the folds, the others are of all pairs pooled.
    pub(crate) overall: Figures,
    /// Standard deviation of the folds' accuracies (of the population, as papers on this protocol print it).
    pub(crate) accuracy_sd: f64,
    /// Of each fold, by rising number. A fold's threshold was chosen on the other folds.
    pub(crate) folds: Vec<(u32, Figures)>,
}

/// The k-fold protocol: each fold is judged with the threshold that is best on all the others. With a single fold
/// there are no others, so its own best threshold is used, which flatters the figure.
pub(crate) fn evaluate(pairs: &[ScoredPair]) -> Evaluation {
    let mut numbers: Vec<u32> = pairs.iter().map(|pair| pair.fold).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let folds: Vec<(u32, Figures)> = numbers
        .iter()
        .map(|&fold| {
            let (own, others): (Vec<_>, Vec<_>) = pairs.iter().partition(|pair| pair.fold == fold);
            let threshold = best_threshold(if others.is_empty() { &own } else { &others });
            (fold, figures(&own, accuracy_at(&own, threshold), threshold))
        })
        .collect();
    let mean = |of: fn(&Figures) -> f64| folds.iter().map(|(_, fold)| of(fold)).sum::<f64>() / folds.len() as f64;
    let accuracy = mean(|fold| fold.accuracy);
    let variance = folds.iter().map(|(_, fold)| (fold.accuracy - accuracy).powi(2)).sum::<f64>() / folds.len() as f64;
    Evaluation { overall: figures(pairs, accuracy, mean(|fold| fold.threshold)), accuracy_sd: variance.sqrt(), folds }
}

fn figures(pairs: &[ScoredPair], accuracy: f64, threshold: f64) -> Figures {
    let roc = roc(pairs);
    let tar_at_far = FARS.map(|far| tar_at_far(&roc, far));
    let n_impostors = pairs.iter().filter(|pair| !pair.same).count();
    Figures { n_pairs: pairs.len(), n_impostors, accuracy, threshold, eer: eer(&roc), tar_at_far }
}

/// Share of pairs judged rightly at a threshold.
pub(crate) fn accuracy_at(pairs: &[ScoredPair], threshold: f64) -> f64 {
    let right = |pair: &&ScoredPair| {
        pair.similarity.is_some_and(|similarity| (f64::from(similarity) >= threshold) == pair.same)
    };
    pairs.iter().filter(right).count() as f64 / pairs.len().max(1) as f64
}

/// The threshold that judges most pairs rightly. Thresholds lie in the middle between neighbouring similarities; of
/// equally good ones the one with the widest gap around it is taken, since it is the least accidental, then the lowest.
pub(crate) fn best_threshold(pairs: &[ScoredPair]) -> f64 {
    let mut scored: Vec<(f64, bool)> =
        pairs.iter().filter_map(|pair| Some((f64::from(pair.similarity?), pair.same))).collect();
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let Some(&(lowest, _)) = scored.first() else { return 0.0 };
    // Accepting all is the start; each step up rejects one more pair.
    let mut n_right = scored.iter().filter(|(_, same)| *same).count();
    let mut best = (n_right, 0.0, lowest);
    for (idx, &(similarity, same)) in scored.iter().enumerate() {
        n_right = if same { n_right - 1 } else { n_right + 1 };
        let next = scored.get(idx + 1).map_or(similarity.next_up(), |&(next, _)| next);
        let gap = next - similarity;
        if gap > 0.0 && (n_right, gap) > (best.0, best.1) {
            // The upper end, where the middle would round down onto the similarity itself.
            let middle = if idx + 1 == scored.len() { next } else { similarity + gap / 2.0 };
            best = (n_right, gap, middle);
        }
    }
    best.2
}

/// A point of a ROC: what happens at one threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RocPoint {
    /// False-accept rate.
    pub(crate) far: f64,
    /// True-accept rate.
    pub(crate) tar: f64,
}

/// The ROC from the threshold that accepts nothing to the lowest measured one, both rates never falling. A pair
/// without a face is never accepted, but stays in the denominators.
pub(crate) fn roc(pairs: &[ScoredPair]) -> Vec<RocPoint> {
    let n_same = pairs.iter().filter(|pair| pair.same).count();
    let (n_genuine, n_impostor) = (n_same.max(1) as f64, (pairs.len() - n_same).max(1) as f64);
    let mut scored: Vec<(f32, bool)> = pairs.iter().filter_map(|pair| Some((pair.similarity?, pair.same))).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut points = vec![RocPoint { far: 0.0, tar: 0.0 }];
    let (mut accepted_same, mut accepted_other) = (0_usize, 0_usize);
    for tied in scored.chunk_by(|a, b| a.0 == b.0) {
        let same = tied.iter().filter(|(_, same)| *same).count();
        accepted_same += same;
        accepted_other += tied.len() - same;
        points.push(RocPoint { far: accepted_other as f64 / n_impostor, tar: accepted_same as f64 / n_genuine });
    }
    points
}

/// The largest TAR whose FAR is at most `far`: what was really measured, without interpolation.
pub(crate) fn tar_at_far(roc: &[RocPoint], far: f64) -> f64 {
    roc.iter().take_while(|point| point.far <= far).map(|point| point.tar).last().unwrap_or(0.0)
}

/// The error rate where FAR equals FRR, on the straight line between the two neighbouring points.
pub(crate) fn eer(roc: &[RocPoint]) -> f64 {
    // FAR - FRR rises from -1; where it passes 0 the two are equal.
    let difference = |point: &RocPoint| point.far - (1.0 - point.tar);
    for pair in roc.windows(2) {
        let (before, after) = (difference(&pair[0]), difference(&pair[1]));
        if after >= 0.0 {
            let share = if after > before { -before / (after - before) } else { 0.0 };
            return pair[0].far + share * (pair[1].far - pair[0].far);
        }
    }
    // Pairs without a face can keep the curve from ever crossing: then every threshold rejects more than it accepts.
    roc.last().map_or(1.0, |point| 1.0 - point.tar)
}
