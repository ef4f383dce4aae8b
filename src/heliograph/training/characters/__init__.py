"""Trains the ``kmnist`` model: ``python -m heliograph.training.characters --data FOLDER --out FOLDER``.

Read in this order: `data`, `augmentation`, `network`, `train`, `displacement`, `package`.
"""
