"""The only room that knows every concrete class: it turns settings into running parts.

``parts`` makes what several processes share, ``serve``, ``gateway``, ``worker`` and ``up`` run one each.
"""
