"""The parts of MODEL_CARD.md that hold for every model and carry no figures."""

from osteolens.labels import OSTEOPENIA_BELOW, OSTEOPOROSIS_AT

HEAD = """\
# Model card

Written by `python train/model_card.py` from `weights/*/card.json` and from the stored predictions in `evidence/`, from
which every figure is computed again; a test fails when they disagree. Figures are point estimates with 95 % intervals.
The sections follow the checklists CLAIM (2024 update, for artificial intelligence in medical imaging) and TRIPOD+AI
(2024, for prediction models); [a table at the end](#what-the-checklists-ask-for) says where each topic is.

**Research software, not a diagnostic device.** Nothing here has been checked on patients of your hospital, on your
machines, or by anybody else."""

USE = """\
## Intended use and misuse
- For research on knee radiographs, for learning how such a system is built and measured, and as a starting point for
  training on films of your own.
- Who is meant to use it: researchers and developers. No answer is meant to reach a patient.
- **Misuse**: deciding about a patient; screening, diagnosis, ruling out; sparing somebody a bone density measurement;
  choosing whom to measure without a study that shows that this helps; quoting a figure without its interval and its
  baselines; reading the T-score as one of dual-energy X-ray absorptiometry (DXA).
- Input: one antero-posterior film of one or both knees. Other projections, other joints, implants, casts and children
  were not in the training films; a model answers them all the same, and wrongly.
- The triage zones say in which order to look. "Low suspicion" is not "ruled out"."""

DATA = f"""\
## Data and ground truth
All data are retrospective and were published by others; no film was taken, read or labelled for this project.

- **Osteoporosis.** Label and T-score are those published with the film. They come from **quantitative ultrasound**, not
  from DXA, and carry the error of that method: osteopenia below a T-score of {OSTEOPENIA_BELOW}, osteoporosis at
  {OSTEOPOROSIS_AT} or below (WHO Technical Report Series 843, 1994). There is one measurement per patient, so its
  variability is unknown. Age, sex, weight and height are as published; a missing fact stays missing.
- **Excluded.** Films that were published twice with contradictory labels (`conflict` in the table), because nobody can
  say which is right. Nothing was left out for its quality or for what a model said of it.
- **Published under two patients.** 13 more films were published twice with one label, but two patients. Their pictures
  and labels are used. Their age, sex, size and T-score are not: no figure here rests on them, and nothing in a card was
  fitted on them. The models were trained before this was seen, on the T-score of one of the two patients.
- **Positive control.** Kellgren-Lawrence grades of single knees as published with the collection.
- **Preparation.** Empty borders are cut off, the film is scaled with its aspect ratio kept and padded to the model's
  input; the parameters are in each card. The same code runs in training and in serving.
- **Identities.** The films carry no names; groups are the publishers' patients; copies of one film are in one group."""

LIMITS = """\
## Limits
- **Few films from one place.** All public knee osteoporosis collections are the same radiographs. The intervals are
  as wide as that makes them, and no figure here is from another hospital: there is no external validation.
- **The label is quantitative ultrasound**, not DXA.
- **Age is in the picture.** A network can read age off a joint, and age tells much about bone density. A good figure of
  the image alone would not show that it sees bone; only a gain over age and sex speaks for that.
- **Few device families** made the films, and a file's size alone tells something of its label; the baseline
  `file format` says how much. Films are cropped, scaled and padded, and patches and borders erased at random in
  training, which lessens that but can't undo it.
- **Many things were tried on few films.** What was tried is listed with its result; choosing among settings by
  out-of-fold results flatters the chosen one a little.
- **Calibration, thresholds and intervals belong to this mix of patients.** With another share of ill patients they are
  wrong, and have to be fitted again.
- **Heat maps show where the evidence for a label lay in the last feature map**, a few cells across. They are
  relative to their own maximum, do not outline anatomy, and do not show that the answer is right.
- Not done: a prospective study, a comparison with readers, a registered protocol, a calculation of the sample size
  beforehand (the films that could be had were used)."""

ETHICS = """\
## Ethics
- **Fairness.** The subgroup tables show sex, age band and device family. Origin, skin colour, income and disease other
  than osteoporosis are not known of any patient, so nothing can be said about them; the films come from one place.
- **Consent and privacy.** The films were published by others, who state the licences below. The project keeps no film:
  weights, file names, published facts about the patients (age, sex, weight, height, T-score) and predictions only.
- **Harm.** A false "low suspicion" could keep somebody from a measurement, a false "refer" costs a visit and worry;
  age and sex alone are free, and serve better than or as well as a film wherever the tables say so."""

CHECKLIST = """\
## What the checklists ask for
| topic (CLAIM, TRIPOD+AI) | where |
|---|---|
| identification, summary | the first lines, "In plain words" of each model |
| background, intended use, users | Intended use and misuse |
| study design, data sources, eligibility, exclusions, missing data, preparation | Data and ground truth |
| outcome, reference standard and its variability | Data and ground truth |
| participants and their characteristics | "Films" of each model |
| partitions and their level, sample size | "Partitions" of each model; Limits |
| model, software, starting weights, training, choice of the final model | "Model and training"; What was tried |
| measures of performance, uncertainty, baselines | "Evaluation" of each model |
| calibration, thresholds | "Calibration", "Operating points and triage" |
| robustness, subgroups, fairness | "Subgroups"; Ethics |
| explainability | "Heat maps" of each model |
| failure analysis | "Where it fails" of each model |
| internal and external testing | "Partitions"; Limits |
| limitations, implications, misuse | Limits; Intended use and misuse |
| availability of code, model and data, licence, reproduction | Licences; How to reproduce |
| registration, protocol, patient involvement | Limits (not done) |
| ethics | Ethics |
| funding, interests | not stated |"""
