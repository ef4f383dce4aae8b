"""Trains a classifier of one's own pictures: ``heliograph train --data FOLDER --name NAME``.

It starts from EfficientNet-Lite0 (`heliograph.training.encoder`): the lower blocks stay as they are, so what they see
of each picture is computed once; the upper ones and a new last layer learn the classes.

Read in this order: `folders`, `views`, `network`, `features`, `train`, `package`, `making`, `steps`.
"""
