/* Random batches, goals of each metric and edits of every kind over a model of random form: what gradients are tried
 * on. */
#ifndef SN_TEST_GRADIENT_TRIAL_H
#define SN_TEST_GRADIENT_TRIAL_H

#include "common/forms.h"

enum { TRIAL_ROWS = 4, TRIAL_LEN = 7 };

typedef struct trial_goals { sn_goal goal[2]; int n; } trial_goals;

typedef struct trial {
	forms_case *f;
	sn_batch batch;
	trial_goals goals;
	sn_edit edit[4];
	int n_edit;
	bool push_first;   /* the edit that trial_score is given comes before the trial's own */
	sn_rule rule;
} trial;

sn_batch trial_rows(forms_case *f);
float *trial_vector(forms_case *f, int64_t n);
double trial_norm(const float *x, int64_t n);
trial trial_make(forms_case *f);
/* The sum of all goals; push and tap may be NULL. */
double trial_score(trial *t, const sn_edit *push, sn_tap *tap);
/* Whether the model's activation has a derivative everywhere. */
bool trial_is_smooth(const forms_case *f);

#endif
