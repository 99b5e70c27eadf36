/* The table of Russian texts. A line of English that is not here stays English. */
#include "data/russian.h"

#include "base/base.h"

#include <string.h>

/* clang-format off */
static const sn_ru_text text[] = {
	{ "Contents", "Содержание" },
	{ "Summary", "Выводы" },
	{ "Limitations", "Ограничения" },
	{ "Method and citations", "Метод и литература" },
	{ "Parameters", "Параметры" },
	{ "Provenance", "Происхождение данных" },
	{ "Appendix", "Приложение" },
	{ "To the results", "К результатам" },
	{ "Columns of the results", "Столбцы таблиц" },
	{ "higher is better", "чем больше, тем лучше" },
	{ "lower is better", "чем меньше, тем лучше" },
	{ "table", "таблица" },
	{ "column", "столбец" },
	{ "meaning", "значение" },
	{ "unit", "единица" },
	{ "Made by Sonde", "Сделано программой Sonde" },
	{ ". Every number is also in rows.csv and result.json beside this page.",
	  ". Все числа есть и в файлах rows.csv и result.json рядом с этой страницей." },
	{ " To repeat: ", " Повторить: " },
	{ "The numbers of this figure", "Числа этого рисунка" },
	{ "holds for any model", "верно для любой модели" },
	{ "log scale", "логарифмическая шкала" },
	{ "yes", "да" },
	{ "no", "нет" },
	{ "model", "модель" },
	{ "phenomenon", "явление" },
	{ "quantisation", "квантование" },
	{ "seed", "зерно" },
	{ "time", "время" },
	{ "items", "примеры" },
	{ "training", "обучение" },
	{ "data", "данные" },
	{ "Layer", "Слой" },
	{ "Role", "Роль" },
	{ "Verdicts", "Вердикты" },
	{ "Verdict", "Вердикт" },
	{ "Encoded", "Закодировано" },
	{ "Encoded, passing, used", "Закодировано, проходит, используется" },
	{ "Holds for any causal model", "Верно для любой каузальной модели" },
	{ "I: encoded here", "I: закодировано здесь" },
	{ "surface probe", "проба по словоформам" },
	{ "random models", "случайные модели" },
	{ "E: the choice passes here", "E: выбор проходит здесь" },
	{ "placebo floor (RMS)", "уровень плацебо (с.к.)" },
	{ "E_sub: through the encoding", "E_sub: через представление" },
	{ "Layer by role", "Слои и роли" },
	{ "Quantity", "Величина" },
	{ "Value", "Значение" },
	{ "Behaviour by condition", "Поведение по условиям" },
	{ "Prefixes", "Префиксы" },
	{ "Accuracy", "Точность" },
	{ "chance", "случайный уровень" },
	{ "Sensitivity S", "Чувствительность S" },
	{ "Bias", "Смещение" },
	{ "Lemmas", "Леммы" },
	{ "Choice words", "Слова выбора" },
	{ "First layers", "Первые слои" },
	{ "First layer", "Первый слой" },
	{ "No such layer", "Такого слоя нет" },
	{ "Accuracy and selectivity", "Точность и селективность" },
	{ "Balanced accuracy A, unseen lemmas", "Сбалансированная точность A, новые леммы" },
	{ "Same forms: the feature", "Те же формы: признак" },
	{ "control labels", "контрольные метки" },
	{ "Selectivity", "Селективность" },
	{ "Attractor and placebo pairs", "Пары с аттрактором и плацебо" },
	{ "Attractor's feature flipped", "Сменён признак аттрактора" },
	{ "Placebo: another lemma (RMS)", "Плацебо: другая лемма (с.к.)" },
	{ "main pairs (RMS)", "основные пары (с.к.)" },
	{ "Encoded, by condition", "Закодировано, по условиям" },
	{ "Condition", "Условие" },
	{ "Erasure", "Стирание" },
	{ "Erased", "Стёрто" },
	{ "Left for a fresh probe", "Осталось для новой пробы" },
	{ "before erasing", "до стирания" },
	{ "control labels, 95 %", "контрольные метки, 95 %" },
	{ "random directions, 95 %", "случайные направления, 95 %" },
	{ "Outcome", "Исход" },
	{ "Example prefixes", "Примеры префиксов" },
	{ "Prefix", "Префикс" },
	{ "Frame", "Рамка" },
	{ "Controller", "Контролёр" },
	{ "LD: +1 form over −1 form", "LD: форма +1 против формы −1" },
	{ "Right", "Верно" },
	{ "Items dropped", "Отброшенные примеры" },
	{ "Reason", "Причина" },
	{ "Group", "Группа" },
	{ "Frequency", "Частотность" },
	{ "Dropped", "Отброшено" },
	{ "Other labels", "Другие метки" },
	{ "Label", "Метка" },
	{ "Balanced accuracy", "Сбалансированная точность" },
	{ "Moves", "Перемещения" },
	{ "Flips, and effects in nats", "Перевороты выбора и эффекты в натах" },
	{ "Choices flipped", "Перевёрнутых выборов" },
	{ "Flipped through the encoding", "Перевёрнуто через представление" },
	{ "E in nats", "E в натах" },
	{ "E_sub in nats", "E_sub в натах" },
	{ "Encoded over each baseline", "Закодировано сверх каждого базового уровня" },
	{ "I over random models", "I сверх случайных моделей" },
	{ "I over the surface probe", "I сверх пробы по словоформам" },
	{ "I over the embedding", "I сверх эмбеддинга" },
	{ "Norm", "Норма" },
	{ "Flag", "Пометка" },
	{ "No variation", "Нет разброса" },
	{ "First layers over resamples", "Первые слои по перевыборкам" },
	{ "First layer here", "Первый слой здесь" },
	{ "Verdicts at other thresholds", "Вердикты при других порогах" },
	{ "Threshold", "Порог" },
	{ "Time", "Время" },
	{ "Stage", "Этап" },
	{ "Words and tokens", "Слова и токены" },
	{ "Tokens a word", "Токенов на слово" },
	{ "Words of one token", "Слов из одного токена" },
	{ "Words", "Слова" },
	{ "Phenomenon", "Явление" },
	{ "share of D", "доля D" },
	{ "share", "доля" },
	{ "bits", "бит" },
	{ "nats", "нат" },
	{ "share of D, bits", "доля D, бит" },
	{ "share of S", "доля S" },
	{ "layer", "слой" },
	{ "share of resamples", "доля перевыборок" },
	{ "x the layer's median", "× медиана слоя" },
	{ "s", "с" },
	{ "tokens", "токены" },
	{ "encoded and used", "закодировано и используется" },
	{ "encoded, not used from here on", "закодировано, дальше не используется" },
	{ "passes here, not through this encoding", "проходит, но не через это представление" },
	{ "used, not linearly encoded", "используется, линейно не закодировано" },
	{ "neither", "ни то ни другое" },
	{ "undetermined", "не определено" },
	{ "true of any model", "верно для любой модели" },
	{ "not applicable", "неприменимо" },
	{ "n/a", "н/п" },
	{ "here alone", "только здесь" },
	{ "this role from here on", "эта роль отсюда и дальше" },
	{ "all positions from here on", "все позиции отсюда и дальше" },
	{ "erasure incomplete", "стирание неполное" },
	{ "counts", "засчитано" },
	{ "within the controls", "в пределах контроля" },
	{ "all", "все" },
	{ "both right", "верны оба" },
	{ "norm over ten times the layer's", "норма в десять раз больше нормы слоя" },
	{ "match", "совпадение" },
	{ "mismatch", "несовпадение" },
	{ "match-syncretic", "совпадение, синкретизм" },
	{ "mismatch-syncretic", "несовпадение, синкретизм" },
	{ "telling", "ясное окончание" },
	{ "opaque", "неясное окончание" },
	{ "verb", "глагол" },
	{ "preposition", "предлог" },
	{ "high", "высокая" },
	{ "mid", "средняя" },
	{ "low", "низкая" },
	{ "encoded", "закодировано" },
	{ "choice: more than one token", "слово выбора: больше одного токена" },
	{ "token count", "разное число токенов" },
	{ "no partner lemma", "нет парной леммы" },
	{ "duplicate", "повтор" },
	{ "frame", "рамка" },
	{ "group", "группа" },
	{ "frequency", "частотность" },
	{ "condition", "условие" },
	{ "choices", "выбор" },
	{ "residual streams", "остаточные потоки" },
	{ "probes", "пробы" },
	{ "projections", "проекции" },
	{ "patches", "подстановки" },
	{ "erasure", "стирание" },
	{ "refits", "повторное обучение" },
	{ "sg", "ед. ч." },
	{ "pl", "мн. ч." },
	{ "m", "м. р." },
	{ "f", "ж. р." },
	{ "gen", "род. п." },
	{ "dat", "дат. п." },
	{ "One verdict for each layer boundary (0: the embedding) and role: is the feature encoded, "
		  "does the choice pass here, does it pass through this encoding? Undetermined: an interval "
		  "that contains the threshold. Hatched: true of any causal model.",
	  "По вердикту на каждую границу слоёв (0 — эмбеддинг) и роль: закодирован ли признак, "
		  "проходит ли здесь выбор, проходит ли он через это представление. Не определено: порог лежит "
		  "внутри интервала. Штриховка: верно для любой каузальной модели." },
	{ "I: bits that a linear probe reads from unseen lemmas. E: share of the choice that changes "
		  "when the whole vector comes from the prefix with the other value; E_sub: when only its "
		  "encoding does. Bands: simultaneous 95 % intervals over all cells of a quantity, lemmas "
		  "resampled. Hollow: true of any causal model.",
	  "I: сколько бит линейная проба считывает с невиденных лемм. E: какая доля выбора меняется, "
		  "если весь вектор взят из префикса с другим значением; E_sub: если взято только "
		  "представление признака. Полосы: совместные 95-процентные интервалы по всем ячейкам "
		  "величины, перевыборка лемм. Пустые кружки: верно для любой каузальной модели." },
	{ "I in bits, E and E_sub as shares of D. + above the threshold, ? undetermined, ! vectors "
		  "more than ten times as long as the layer's median.",
	  "I в битах, E и E_sub в долях D. + выше порога, ? не определено, ! векторы более чем в "
		  "десять раз длиннее медианы слоя." },
	{ "How often the right form is the more probable one (Wilson intervals, n = lemmas); S: how "
		  "many nats the feature moves the choice; bias: preference for the +1 form that does not "
		  "depend on it.",
	  "Как часто правильная форма вероятнее (интервалы Уилсона, n — число лемм); S: на сколько нат "
		  "признак сдвигает выбор; смещение: предпочтение формы +1, которое от него не зависит." },
	{ "All pairs of choice words are scored at each prefix and averaged; here each on its own.",
	  "В каждом префиксе оцениваются все пары слов выбора, и берётся среднее; здесь каждая пара "
		  "отдельно." },
	{ "The first of two consecutive layers above the threshold, and the middle 95 % of its "
		  "distribution over resampled lemmas.",
	  "Первый из двух соседних слоёв выше порога и средние 95 % его распределения по перевыборкам "
		  "лемм." },
	{ "A: unseen lemmas, Wilson intervals over lemmas. Task against control labels drawn at random "
		  "for each subject form: same forms, unseen lead-ins, equal strength. Selectivity is no part "
		  "of a verdict.",
	  "A: невиденные леммы, интервалы Уилсона по леммам. Задача и контрольные метки, разыгранные "
		  "для каждой формы подлежащего: те же формы, новые зачины, та же сила регуляризации. "
		  "Селективность в вердикт не входит." },
	{ "What patches move when the pair differs in the attractor's feature, or in the subject's "
		  "lemma alone.",
	  "Что сдвигают подстановки, если пара различается признаком аттрактора или только леммой "
		  "подлежащего." },
	{ "One probe trained on all prefixes, tested on each condition apart.",
	  "Одна проба, обученная на всех префиксах и проверенная на каждом условии отдельно." },
	{ "X: share of the sensitivity lost when the encoding is erased. It counts when its lower "
		  "bound exceeds both controls by 0.05 and a fresh probe finds nothing left. X is of all "
		  "members of pairs, the controls of at most 64 of them.",
	  "X: какая доля чувствительности теряется, если представление стереть. Засчитывается, если "
		  "нижняя граница выше обоих контролей на 0.05 и новая проба ничего не находит. X – по всем "
		  "членам пар, контроли – не более чем по 64 из них." },
	{ "The same probes for the items' other labels; no verdicts depend on them.",
	  "Те же пробы для других меток; вердикты от них не зависят." },
	{ "Where E changes from layer to layer.", "Где E меняется от слоя к слою." },
	{ "Share of right choices that a patch turns, among pairs with both members right.",
	  "Доля правильных выборов, которые подстановка переворачивает, среди пар, где оба префикса "
		  "решены верно." },
	{ "Paired differences over resampled lemmas.", "Парные разности по перевыборкам лемм." },
	{ " bits", " бит" },
	{ "layer%s %s", "сло%s %s" },
	{ "%s makes no such choice: changing the %s of the %s moves it by D = %.2f nats [%.2f, %.2f], "
		  "and the lower bound is not above %.1f. So there are no shares and no verdicts here.",
	  "%s такого выбора не делает: смена признака «%s» (%s) сдвигает его на D = %.2f нат [%.2f, "
		  "%.2f], и нижняя граница не выше %.1f. Поэтому ни долей, ни вердиктов здесь нет." },
	{ "%s chooses by the %s of the %s: at %.0f %% of the prefixes [%.0f, %.0f] the right form is "
		  "the more probable one, and changing the %s moves the choice by D = %.2f nats [%.2f, %.2f] "
		  "(bias %+.2f nats [%.2f, %.2f]).",
	  "%s выбирает форму по признаку «%s» (%s): в %.0f %% префиксов [%.0f, %.0f] правильная форма "
		  "вероятнее, а смена признака «%s» сдвигает выбор на D = %.2f нат [%.2f, %.2f] (смещение "
		  "%+.2f нат [%.2f, %.2f])." },
	{ "Right choices by condition: %s.", "Правильных выборов по условиям: %s." },
	{ "Changing the %s of the attractor instead moves the choice by %.2f of D [%.2f, %.2f].",
	  "Если вместо этого сменить признак «%s» у аттрактора, выбор сдвигается на %.2f D [%.2f, "
		  "%.2f]." },
	{ "%s is encoded at the %s in %s (at most %s, at layer %d; %s at the embedding).",
	  "%s кодируется %s в %s (не более %s, слой %d; на эмбеддинге %s)." },
	{ "%s is encoded at no layer of the %s (at most %s, at layer %d).",
	  "%s не кодируется %s ни в одном слое (не более %s, слой %d)." },
	{ "Whether %s is encoded at the %s is undetermined at some layers and no at the others (at "
		  "most %s, at layer %d).",
	  "Кодируется ли %s %s, в части слоёв не определено, в остальных — нет (не более %s, слой %d)." },
	{ "The choice never passes the %s: exchanging its vector moves it by %s of D at most (layer "
		  "%d).",
	  "Выбор нигде не проходит через %s: замена вектора сдвигает его не более чем на %s D (слой "
		  "%d)." },
	{ "Whether the choice passes the %s is undetermined (at most %s of D, at layer %d).",
	  "Проходит ли выбор через %s, не определено (не более %s D, слой %d)." },
	{ "The choice passes the %s in %s (E at most %s of D, at layer %d), and is read from this "
		  "encoding of %s in %s (E_sub at most %s, at layer %d).",
	  "Выбор проходит через %s в %s (E не более %s D, слой %d) и считывается именно из этого "
		  "представления признака «%s» в %s (E_sub не более %s, слой %d)." },
	{ "The choice passes the %s in %s (E at most %s of D, at layer %d); at no layer is it certain "
		  "to be read from this encoding of %s (E_sub at most %s, at layer %d).",
	  "Выбор проходит через %s в %s (E не более %s D, слой %d); ни в одном слое нельзя уверенно "
		  "сказать, что он считывается именно из этого представления признака «%s» (E_sub не более %s, "
		  "слой %d)." },
	{ "At the %s in %s %s is encoded, but not used from there on.",
	  "В %2$s %1$s %3$s кодируется, но дальше не используется." },
	{ "At the %s in %s the choice passes, but not through this encoding of %s.",
	  "В %2$s %1$s выбор проходит, но не через это представление признака «%3$s»." },
	{ "At the %s in %s the choice passes although no linear probe finds %s.",
	  "В %2$s %1$s выбор проходит, хотя линейная проба признака «%3$s» не находит." },
	{ "%s is never used: E is below %.2f at every cell.",
	  "Признак «%s» нигде не используется: E ниже %.2f во всех ячейках." },
	{ "All other positions after the %s together carry at most %s of D, at layer %d.",
	  "Все прочие позиции после контролёра (%s) вместе несут не более %s D, слой %d." },
	{ "%s%s at the %s %d", "%s%s %s %d" },
	{ " [%d, none]", " [%d, нет]" },
	{ "First layers above %.2f: %s.", "Первые слои выше %.2f: %s." },
	{ "Contradiction: at the %s, layer %d, the encoding is used (E_sub %.2f), but erasing it there "
		  "costs no more than the controls (X %.2f [%.2f, %.2f], controls up to %.2f).",
	  "Противоречие: %s в слое %d представление используется (E_sub %.2f), но стереть его там "
		  "стоит не дороже, чем контрольное (X %.2f [%.2f, %.2f], контроль до %.2f)." },
	{ "Erasure was complete at %d of %d places and costs more than its controls at none.",
	  "Стирание было полным в %d из %d мест и нигде не стоило дороже контрольного." },
	{ "Erasing the encoding costs more than its controls at %d of the %d places where it was "
		  "complete; most at the %s, layer %d, %s: X = %.2f [%.2f, %.2f] of S.",
	  "Стирание представления стоит дороже контрольного в %d из %d мест, где оно было полным; "
		  "больше всего %s, слой %d (%s): X = %.2f [%.2f, %.2f] S." },
	{ "Undetermined at a threshold of %.2f: %d of %d cells.", "Не определено при пороге %.2f: %d из %d ячеек." },
	{ "%s in %s: where it is kept, and where it is used", "%s в %s: где хранится и где используется" },
	{ "Training variation is included in I (%d resamples with refitted probes), not in E_sub and "
		  "X, whose projections are held fixed.",
	  "Разброс обучения учтён в I (%d перевыборок с заново обученными пробами), но не в E_sub и X, "
		  "где проекции неизменны." },
	{ "Training variation is not included: the intervals resample lemmas with the probes and "
		  "projections held fixed (--effort thorough refits the probes).",
	  "Разброс обучения не учтён: интервалы перевыбирают леммы при неизменных пробах и проекциях "
		  "(--effort thorough обучает пробы заново)." },
	{ "No randomly initialised model was run: \"encoded\" is judged over the surface probe alone.",
	  "Случайно инициализированная модель не прогонялась: о закодированности судим только сверх "
		  "пробы по словоформам." },
	{ "One randomly initialised model stands for all: its own variation is not in the intervals.",
	  "Случайно инициализированная модель одна: её собственный разброс в интервалы не входит." },
	{ "Erasure was not run (--effort standard runs it): \"used\" rests on interchange alone.",
	  "Стирание не проводилось (его проводит --effort standard): «используется» опирается только "
		  "на взаимные подстановки." },
	{ "Erasure incomplete at %d of %d places: a fresh probe may still find the feature there, so X "
		  "is withheld.",
	  "Стирание неполное в %d из %d мест: новая проба там ещё может найти признак, поэтому X не "
		  "приводится." },
	{ "Erasing one cell does not show that the model needs it from that layer on, because later "
		  "heads read the %s again (--effort thorough erases onwards).",
	  "Стирание одной ячейки не доказывает, что она нужна модели начиная с этого слоя: последующие "
		  "головы читают контролёр (%s) снова (--effort thorough стирает и дальше)." },
	{ "In %lld of %lld directed pairs the members differ in their number of tokens: E and E_sub "
		  "exchange each role's last token, and \"other\" rests on the other pairs.",
	  "В %lld из %lld направленных пар число токенов различается: E и E_sub подставляют последний "
		  "токен каждой роли, а прочие позиции считаются по остальным парам." },
	{ "%d cells hold vectors more than ten times as long as their layer's median: read them with "
		  "care.",
	  "В %d ячейках векторы более чем в десять раз длиннее медианы слоя: к ним следует относиться "
		  "осторожно." },
	{ "The phenomenon has no placebo pairs: effects of the lemma are not separated.",
	  "У явления нет пар-плацебо: влияние леммы не отделено." },
	{ "The members of a pair differ in the lemma of the %s too, since its %s is inherent: E and "
		  "E_sub are what remains after the placebo's RMS (the lemma alone swapped) is taken off.",
	  "Члены пары различаются и леммой контролёра (%s), поскольку признак «%s» ей присущ: E и "
		  "E_sub — то, что остаётся после вычета плацебо (с.к. при замене одной леммы)." },
	{ "At %d cells where the choice passes, exchanging the lemma alone moves it at least half as "
		  "much (RMS).",
	  "В %d ячейках, где проходит выбор, замена одной лишь леммы сдвигает его по крайней мере "
		  "вполовину так же сильно (с.к.)." },
	{ "A probe of this strength learns labels drawn at random for the %d subject forms up to %.0f "
		  "%% (d = %lld): only the test on unseen lemmas shows an encoding.",
	  "Проба такой силы выучивает метки, разыгранные случайно для %d словоформ контролёра, вплоть "
		  "до %.0f %% (d = %lld): закодированность видна только на невиденных леммах." },
	{ "The pairs hold %lld subject lemmas: below 40, intervals over lemmas are too narrow.",
	  "В парах %lld лемм контролёра: если их меньше 40, интервалы по леммам слишком узки." },
	{ "%d probe fits stopped before their tolerance.", "Обучение %d проб остановилось раньше заданной точности." },
	{ "A linear probe and a linear projection see linear encodings only; a patch shows where the "
		  "choice passes in these frames, not in all text.",
	  "Линейная проба и линейная проекция видят только линейные представления; подстановка "
		  "показывает, где выбор проходит в этих рамках, а не в любом тексте." },
	{ "Most words of the %s have several tokens (%.1f on average): its last token stands for it, "
		  "and I and E may differ from those of one-token words.",
	  "Большинство слов роли «%s» состоит из нескольких токенов (в среднем %.1f): за слово "
		  "отвечает последний, и I и E могут отличаться от однотокенных слов." },
	{ "One phenomenon, one model, three kinds of evidence about the same prefixes: is the feature "
		  "encoded, does the model choose by it, does the choice pass here and is this encoding used - "
		  "for each layer and role, with baselines, controls and intervals.",
	  "Одно явление, одна модель, три рода свидетельств об одних и тех же префиксах: закодирован "
		  "ли признак, выбирает ли по нему модель, проходит ли здесь выбор и используется ли это "
		  "представление — для каждого слоя и роли, с базовыми уровнями, контролем и интервалами." },
	{ "en", "ru" },
	{ "A role's vector is that of its word's last token; morphology splits words.",
	  "Вектор роли — вектор последнего токена слова; морфология дробит слова на токены." },
	{ "where a model keeps a grammatical feature, and where it uses it",
	  "где модель хранит грамматический признак и где его использует" },
	{ "Verdicts, compared", "Вердикты: сравнение" },
	{ "One verdict for each layer boundary and role, phenomenon by phenomenon, on one model.",
	  "По вердикту на каждую границу слоёв и роль, для каждого явления, на одной модели." },
	{ "Encoded, passing, used, compared", "Закодировано, проходит, используется: сравнение" },
	{ "I in bits, E and E_sub as shares of each phenomenon's own D, side by side; bands are "
		  "simultaneous within a phenomenon.",
	  "I в битах, E и E_sub в долях собственного D каждого явления; полосы совместные в пределах "
		  "явления." },
	{ "Behaviour, compared", "Поведение: сравнение" },
	{ "Shares of D compare across phenomena; nats do only where the choice words are alike.",
	  "Доли D сравнимы между явлениями; наты — только если слова выбора похожи." },
	{ "First layers, compared", "Первые слои: сравнение" },
	{ "The first of two consecutive layers above the threshold, for each phenomenon.",
	  "Первый из двух соседних слоёв выше порога, для каждого явления." },
	{ "Words and tokens, compared", "Слова и токены: сравнение" },
	{ "Tokens a word at each role: where languages differ, so may the work of the first layers.",
	  "Сколько токенов в слове каждой роли: если языки здесь различаются, может различаться и "
		  "работа первых слоёв." },
	{ "Example prefixes, compared", "Примеры префиксов: сравнение" },
	{ "One prefix of each frame, condition and value, for each phenomenon.",
	  "По префиксу на каждую рамку, условие и значение, для каждого явления." },
	{ "Items dropped, compared", "Отброшенные примеры: сравнение" },
	{ "What the tokenizer and the gates cost each phenomenon.", "Чего стоили каждому явлению токенизатор и отборы." },
	{ "Heads and MLPs", "Головы внимания и MLP" },
	{ "Part and role", "Часть модели и роль" },
	{ "How", "Способ" },
	{ "The choice passes this part", "Выбор проходит через эту часть" },
	{ "estimated", "оценка" },
	{ "patched", "подстановка" },
	{ "placebo", "плацебо" },
	{ "less placebo", "без плацебо" },
	{ "The heads and MLPs through which the choice passes: ranked by attribution patching (the gradient's "
		  "estimate), each confirmed by patching its output at that role. Placebo: the lemma alone swapped (RMS). "
		  "Whiskers: simultaneous 95 % bands.",
	  "Головы и MLP, через которые проходит выбор: порядок — по градиентной оценке подстановки (attribution "
		  "patching), каждая проверена настоящей подстановкой её выхода на этой роли. Плацебо: заменена одна "
		  "лемма (с.к.). Отрезки: совместные 95-процентные интервалы." },
	{ "Where the choice is decided", "Где решается выбор" },
	{ "The choice read here by the model's own end", "Выбор, прочитанный здесь выходом самой модели" },
	{ "Right choices read here", "Верных выборов, прочитанных здесь" },
	{ "What the last position's vector at each layer would choose if the model ended there (logit lens): the "
		  "share of D that its pairs move, and how often the right form is the more probable one.",
	  "Что выбрал бы вектор последней позиции каждого слоя, если бы модель кончалась на нём (logit lens): доля D, "
		  "на которую выбор сдвигают пары, и как часто верная форма более вероятна." },
	{ "Heads and MLPs, all estimates", "Головы и MLP: все оценки" },
	{ "Block", "Блок" },
	{ "Part", "Часть" },
	{ "Estimated effect", "Оценка эффекта" },
	{ "Attribution patching of every head and MLP at every role, in shares of D.",
	  "Градиентная оценка подстановки каждой головы и MLP на каждой роли, в долях D." },
	{ "Heads and MLPs, compared", "Головы и MLP: сравнение" },
	{ "Each phenomenon's largest estimates, confirmed by patching, in shares of its own D.",
	  "Наибольшие оценки каждого явления, проверенные подстановкой, в долях его D." },
	{ "Where the choice is decided, compared", "Где решается выбор: сравнение" },
	{ "The choice read from the last position by the logit lens, phenomenon by phenomenon.",
	  "Выбор, прочитанный из последней позиции через logit lens, для каждого явления." },
	{ "heads and MLPs", "головы и MLP" },
	{ "MLP", "MLP" },
	{ "head %d", "голова %d" },
	{ "%s of block %d, %s", "%s блока %d, %s" },
	{ "%s of block %d at the %s", "%s блока %d %s" },
	{ "Of %d heads and MLPs, patched one by one where the gradient finds them, these move more than %.2f of D: %s.",
	  "Из %d голов и MLP, подставленных по одной там, где их находит градиент, более чем на %.2f D сдвигают выбор: "
		  "%s." },
	{ "No head or MLP alone is certain to move more than %.2f of D; the largest estimate is that of %s (patched: "
		  "%.2f [%.2f, %.2f]).",
	  "Ни одна голова и ни одна MLP в одиночку не сдвигает выбор наверняка более чем на %.2f D; наибольшая оценка — "
		  "%s (подстановка: %.2f [%.2f, %.2f])." },
	{ "Read by the model's own end, the last position never holds half of D before the last layer.",
	  "Если читать её выходом самой модели, последняя позиция не содержит половины D ни в одном слое до последнего." },
	{ "none", "нет" },
	{ "Read by the model's own end, the last position holds more than half of D from layer %d on [%d, %s]; there "
		  "%.0f %% of the choices are right.",
	  "Если читать её выходом самой модели, последняя позиция содержит более половины D начиная со слоя %d [%d, %s]; "
		  "там верны %.0f %% выборов." },
	{ "Estimates of heads and MLPs are those of the whole exchange; from the patched ones the placebo's RMS is taken "
		  "off.",
	  "Оценки голов и MLP — от всей замены; из подставленных вычтено среднеквадратичное плацебо." },
	{ "Heads and MLPs are ranked by the gradient at the base alone, since members of pairs differ in their number of "
		  "tokens: parts that saturate may be missed.",
	  "Головы и MLP упорядочены по градиенту в одной точке, поскольку члены пар различаются числом токенов: "
		  "насыщенные части могут быть упущены." },
	{ "Only the %d heads and MLPs with the largest estimates are patched; a part that other parts stand in for moves "
		  "little alone.",
	  "Подставляются только %d голов и MLP с наибольшими оценками; часть, которую могут заменить другие, в одиночку "
		  "сдвигает мало." },
};

static const struct {
	const char *english, *form[SN_RU_FORMS];
} name[] = {
	{ "subject", { "подлежащее", "подлежащего", "подлежащее", "на подлежащем" } },
	{ "attractor", { "аттрактор", "аттрактора", "аттрактор", "на аттракторе" } },
	{ "last", { "последняя позиция", "последней позиции", "последнюю позицию", "на последней позиции" } },
	{ "other", { "прочие позиции", "прочих позиций", "прочие позиции", "на прочих позициях" } },
	{ "verb", { "глагол", "глагола", "глагол", "на глаголе" } },
	{ "governor", { "управляющее слово", "управляющего слова", "управляющее слово",
		"на управляющем слове" } },
	{ "numeral", { "числительное", "числительного", "числительное", "на числительном" } },
	{ "antecedent", { "антецедент", "антецедента", "антецедент", "на антецеденте" } },
	{ "determiner", { "детерминатив", "детерминатива", "детерминатив", "на детерминативе" } },
	{ "licensor", { "лицензирующее слово", "лицензирующего слова", "лицензирующее слово",
		"на лицензирующем слове" } },
	{ "number", { "число", "числа", "число", "на числе" } },
	{ "gender", { "род", "рода", "род", "на роде" } },
	{ "case", { "падеж", "падежа", "падеж", "на падеже" } },
	{ "licence", { "лицензирование", "лицензирования", "лицензирование", "на лицензировании" } },
};
/* clang-format on */

const sn_ru_text *sn_ru_text_at(int i) { return i >= 0 && i < SN_COUNT(text) ? &text[i] : NULL; }

const char *sn_ru(const char *english)
{
	for (int i = 0; i < SN_COUNT(text); i++)
		if (strcmp(text[i].english, english) == 0) return text[i].russian;
	return english;
}

const char *sn_ru_name(const char *english, sn_ru_form form)
{
	for (int i = 0; i < SN_COUNT(name); i++)
		if (strcmp(name[i].english, english) == 0) return name[i].form[form];
	return english;
}
