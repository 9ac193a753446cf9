"""Experiments: a question, what answers it, and what came of it, in one folder.

    experiments/<name>/experiment_config.yml   the question, the model, what is compared
    experiments/<name>/experiment_results/     what came of it, rewritten by each run
    experiments/<name>/README.md               a person's words, and between two marks the results

Here is what needs neither Spark nor MLflow: the file is read (`config`), where all came from is
noted (`provenance`, `git`), and the README is rewritten between its marks (`readme`).
`engine.commands.experiment` runs one.
"""
