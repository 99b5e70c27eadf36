/* F1 by class with replicates of a bootstrap over groups. */
#ifndef SN_STATS_F1_H
#define SN_STATS_F1_H

#include "stats/bootstrap.h"

/* Rows with a class y and a guessed class in each cell: guess [n, n_cell]. group: lemma ids of the bootstrap. */
typedef struct sn_guesses {
	int64_t n;
	int n_class, n_cell;
	const int32_t *y, *guess, *group;
} sn_guesses;

/* Macro-F1 of each cell: the mean of 2 tp / (2 tp + fp + fn) over the classes that occur among labels or guesses, as
 * scikit-learn's f1_score(average="macro"). macro: n_cell cells. n_boot n_group classes multiplications a cell. */
SN_CHECKED sn_status sn_boot_macro_f1(sn_reps *macro, sn_arena *arena, const sn_boot *boot, int n_group,
									  const sn_guesses *guesses);
/* F1 of each class in one cell: by_class has n_class cells, NaN where a class occurs nowhere. */
SN_CHECKED sn_status sn_boot_class_f1(sn_reps *by_class, sn_arena *arena, const sn_boot *boot, int n_group,
									  const sn_guesses *guesses, int cell);

#endif
